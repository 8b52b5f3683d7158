"""The compute devices of this machine, listed without torch.

Owns device identity (`cpu`, `cuda:0`) and the environment variables that show a child one device only.
"""

from __future__ import annotations

import functools
import os
import platform
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil


@dataclass(frozen=True)
class Device:
    """One device of one machine. `id` is local to the machine; `key` names it everywhere."""

    id: str
    kind: str
    name: str
    machine: str
    memory_bytes: int
    capability: tuple[int, int] | None = None
    uuid: str | None = None

    @property
    def key(self) -> str:
        return f"{self.machine}/{self.id}"

    def answers(self, wanted: str) -> bool:
        """Does this device satisfy a request: a kind (`cpu`, `cuda`), an id (`cuda:1`) or a key (`host/cuda:1`)?"""
        return wanted in (self.kind, self.id, self.key)

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"key": self.key}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Device:
        fields = {k: v for k, v in data.items() if k != "key"}
        if fields.get("capability"):
            fields["capability"] = tuple(fields["capability"])
        return cls(**fields)

    def child_environment(self) -> dict[str, str]:
        """Variables that must be set before the child's Python starts, so that it sees this device only."""
        return {"CUDA_VISIBLE_DEVICES": (self.uuid or self.id.partition(":")[2]) if self.kind == "cuda" else ""}


@functools.cache
def machine_name() -> str:
    """A short name of this machine: host name and digits of its machine id, or of this boot where it has none."""
    for source in ("/etc/machine-id", "/proc/sys/kernel/random/boot_id"):
        try:
            if seed := Path(source).read_text().strip():
                break
        except OSError:
            continue
    else:
        seed = str(uuid.getnode())
    return f"{platform.node() or 'machine'}-{uuid.uuid5(uuid.NAMESPACE_OID, seed).hex[:4]}"


def cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def usable_cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cuda_devices() -> list[Device]:
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:  # no driver, no library: a machine without NVIDIA GPU, which is an ordinary machine
        return []
    found = []
    for index in range(pynvml.nvmlDeviceGetCount()):
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        found.append(
            Device(
                id=f"cuda:{index}",
                kind="cuda",
                name=pynvml.nvmlDeviceGetName(handle),
                machine=machine_name(),
                memory_bytes=int(pynvml.nvmlDeviceGetMemoryInfo(handle).total),
                capability=tuple(pynvml.nvmlDeviceGetCudaComputeCapability(handle)),
                uuid=pynvml.nvmlDeviceGetUUID(handle),
            )
        )
    return found


@functools.cache
def local_devices() -> tuple[Device, ...]:
    """GPUs first, then the CPU. Read once per process: hardware does not change under a running scheduler."""
    cpu = Device("cpu", "cpu", cpu_name(), machine_name(), int(psutil.virtual_memory().total))
    return (*_cuda_devices(), cpu)


def find_device(wanted: str) -> Device:
    """The first local device that answers a request. Raises ValueError with the devices there are."""
    for device in local_devices():
        if device.answers(wanted):
            return device
    here = ", ".join(d.id for d in local_devices())
    raise ValueError(f"device: {wanted!r} is not on this machine (here: {here})")
