"""How much memory GPUs have, by name, and what of it a process can use. Facts and arithmetic; asks no driver."""

from __future__ import annotations

import re
from dataclasses import dataclass

from engine.catalogue import closest

CONTEXT_BYTES = 512 * 2**20
"""What the driver keeps for a process and its kernels before the first tensor (PyTorch, "CUDA semantics": it is not in the allocator's
counters); about this much on recent data-centre GPUs."""
_MIB = 2**20
_MEMORY = {
    "T4": 15360 * _MIB, "V100-16GB": 16384 * _MIB, "V100-32GB": 32768 * _MIB, "RTX3090": 24576 * _MIB, "RTX4090": 24564 * _MIB,
    "A10G": 23028 * _MIB, "L4": 23034 * _MIB, "L40S": 46068 * _MIB, "A100-40GB": 40960 * _MIB, "A100-80GB": 81920 * _MIB,
    "H100": 81559 * _MIB, "H200": 143771 * _MIB,
}  # fmt: skip
"""Total as the driver reports it, which is less than the data sheet's on cards that spend a part on error correction (T4, A10G, L4, L40S).
H100 (80 GB, SXM) and H200 were read in the project's own reference runs, the others from published driver listings."""
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(GB|GiB|MB|MiB)", re.IGNORECASE)
_UNITS = {"gb": 10**9, "gib": 2**30, "mb": 10**6, "mib": 2**20}


@dataclass(frozen=True)
class Memory:
    """A GPU's memory, in bytes."""

    name: str
    total_bytes: int

    @property
    def usable_bytes(self) -> int:
        """What a process can fill with tensors."""
        return self.total_bytes - CONTEXT_BYTES


def known() -> list[str]:
    return list(_MEMORY)


def memory(text: str) -> Memory:
    """'H100', or a size: 24GB (10^9 bytes each), 24GiB (2^30). Raises ValueError naming the field."""
    by_name = {name.lower(): name for name in _MEMORY}
    if (name := by_name.get(text.strip().lower())) is not None:
        return Memory(name, _MEMORY[name])
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"memory: {text!r} is neither a size such as 24GiB nor a known GPU{closest(text, _MEMORY)}; known: {', '.join(_MEMORY)}")
    size = int(float(found[1]) * _UNITS[found[2].lower()])
    if size <= CONTEXT_BYTES:
        raise ValueError(f"memory: {text} is less than the {CONTEXT_BYTES // 2**20} MiB that a process takes before its first tensor; name more")
    return Memory(text.strip(), size)
