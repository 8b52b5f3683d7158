"""Where each attention implementation can run: packages, GPU generation, number type. Reasons in words; imports no torch."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.catalogue import BUNDLED, SHAPES
from engine.environments import installed
from engine.technique import Slot, Technique
from experiments.attention.kernels import Implementation, Kernel

if TYPE_CHECKING:
    from engine.devices import Device
    from engine.modelspec import ModelSpec
    from engine.workload import Workload

_SIXTEEN_BIT = ("float16", "bfloat16")
# Distribution by name: flash-attn and flash-attn-4 share the import name flash_attn.
_PACKAGE = {"flash_attention_2": "flash-attn", "flash_attn_4": "flash-attn-4"}
_CAPABILITY = {"flash_attention_2": (8, 0), "flash_attn_4": (9, 0), "flash": (8, 0), "cudnn": (8, 0), "mem_efficient": (5, 0)}
_ADVICE = "install it into the environment of the runs: pip install"


def cannot_run(implementation: Implementation, kernel: Kernel, device: Device, dtype: str | None, where: str) -> str | None:
    """The reason, or None. dtype: the numbers' type, None where only loading could tell. where: how to change it."""
    choice = kernel if implementation == "sdpa" else implementation
    if choice == "flex_attention" and device.kind == "cpu" and not (shutil.which("g++") or shutil.which("clang++")):
        return "flex_attention is compiled, and on a CPU that needs g++ or clang++; install one (apt-get install g++)"
    if choice not in _CAPABILITY or (choice == "flash" and device.kind == "cpu"):
        return None
    if device.kind != "cuda":
        return f"{choice} needs an NVIDIA GPU; choose device cuda, or sdpa with kernel auto, flash or math on a CPU"
    least = _CAPABILITY[choice]
    if device.capability is not None and device.capability < least:
        have = ".".join(map(str, device.capability))
        return f"{choice} needs compute capability {least[0]}.{least[1]} or newer, {device.name} has {have}; choose sdpa with kernel auto"
    if (package := _PACKAGE.get(choice)) and not installed(package):
        return f"needs the package {package}; {_ADVICE} {package}"
    if choice != "mem_efficient" and dtype is not None and dtype not in _SIXTEEN_BIT:
        return f"{choice} computes in float16 or bfloat16 on a GPU, not in {dtype}; {where}"
    return None


def dtype_of(model: ModelSpec, workload: Workload, stack: Sequence[Technique]) -> tuple[str | None, str]:
    """(type that attention computes in, None where only loading could tell; how to change it)."""
    if model.source == "none":
        return getattr(workload, "dtype", None), "set the workload's dtype to float16 or bfloat16"
    known = BUNDLED.get(model.name) if model.source == "bundled" else SHAPES.get(model.name) if model.source == "shape" else None
    # mixed precision says in its own dtype what its products are computed in
    chosen = next((getattr(t, "dtype", t.name) for t in stack if t.slot is Slot.PRECISION), known.dtype if known else None)
    return chosen, "add the technique bfloat16 or float16 to the stack"


def masks_without_kernel(kernel: Kernel, device: Device, stack: Sequence[Technique]) -> str | None:
    """On a GPU the flash kernel of torch takes no mask. A static cache has room that must be masked; the quality of a quantized one is
    measured in steps of several tokens, which must not see each other's future."""
    cache = next((t for t in stack if t.slot is Slot.KV_CACHE), None)
    kind = None if cache is None else getattr(cache, "mode", "quantized")
    if kernel == "flash" and device.kind == "cuda" and kind in ("static", "quantized"):
        return f"torch's flash kernel takes no mask on a GPU, which a {kind} KV cache needs; choose kernel auto, or kv_cache dynamic"
    return None
