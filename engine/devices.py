"""The compute devices of this machine that we may use, listed without torch.

Owns device identity (`cpu`, `cuda:0`, `cuda:all`) and the environment variables that show a child one device only.
"""

from __future__ import annotations

import functools
import math
import os
import platform
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from engine import limits


@dataclass(frozen=True)
class Device:
    """One device of one machine. `id` is local to the machine; `key` names it everywhere.

    members: the ids of its GPUs, where it is several GPUs that one run gets together; `uuid` then has theirs, with commas.
    """

    id: str
    kind: str
    name: str
    machine: str
    memory_bytes: int
    capability: tuple[int, int] | None = None
    uuid: str | None = None
    members: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return f"{self.machine}/{self.id}"

    @property
    def requests(self) -> tuple[str, ...]:
        """What it satisfies: its kind (`cpu`, `cuda`), id (`cuda:1`) and key (`host/cuda:1`). Several GPUs must be asked for by
        name: who wants any GPU wants one."""
        return (self.id, self.key) if self.members else (self.kind, self.id, self.key)

    def answers(self, wanted: str) -> bool:
        """Does this device satisfy a request?"""
        return wanted in self.requests

    @property
    def gpus(self) -> int:
        """How many GPUs a run gets with this GPU device."""
        return len(self.members) or 1

    @property
    def uuids(self) -> list[str]:
        return self.uuid.split(",") if self.uuid else []

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"key": self.key}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Device:
        fields = {k: v for k, v in data.items() if k != "key"}
        if fields.get("capability"):
            fields["capability"] = tuple(fields["capability"])
        fields["members"] = tuple(fields.get("members", ()))
        return cls(**fields)

    def child_environment(self) -> dict[str, str]:
        """Variables that must be set before the child's Python starts, so that it sees this device only."""
        return {"CUDA_VISIBLE_DEVICES": (self.uuid or self.id.partition(":")[2]) if self.kind == "cuda" else ""}


@functools.cache
def machine_name() -> str:
    """A short name of this machine: LAB_MACHINE, or host name and digits of its machine id, or of this boot where it has none."""
    if name := "".join(c for c in os.environ.get("LAB_MACHINE", "") if c.isalnum() or c in "-_."):
        return name[:100]
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
    """Whole CPUs that our processes may use: their affinity, and the time that a container grants, rounded up."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = limits.cpu_limit()
    return allowed if quota is None else min(allowed, max(1, math.ceil(quota)))


def usable_memory() -> int:
    """Bytes of host memory: the machine's, or what a container grants."""
    total = int(psutil.virtual_memory().total)
    limit = limits.memory_limit()
    return total if limit is None else min(total, limit)


def cuda_devices() -> tuple[list[Device], list[str]]:
    """The GPUs that may be used, in the order of CUDA_VISIBLE_DEVICES where it is set, and why others may not.

    N of `cuda:N` is the GPU's place on this machine as nvidia-smi counts, whatever CUDA_VISIBLE_DEVICES leaves of them.
    """
    try:
        import pynvml
    except ImportError:
        return [], ["GPUs: not looked for, the package nvidia-ml-py is not installed"]
    try:
        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
    except pynvml.NVMLError as error:  # no driver: a machine without NVIDIA GPU, which is an ordinary machine
        return [], [f"GPUs: none found ({error})"]
    found, problems = [], []
    for index in range(count):
        try:
            found.append(_cuda_device(pynvml, index))
        except pynvml.NVMLError as error:  # fallen off the bus, or of a kind that does not say: the others are as good as ever
            problems.append(f"cuda:{index}: left out, the driver cannot read it ({error})")
    wanted = os.environ.get("CUDA_VISIBLE_DEVICES")
    visible, hidden = (found, []) if wanted is None else _visible(found, wanted)
    return visible, problems + hidden


def _cuda_device(pynvml: Any, index: int) -> Device:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    return Device(
        id=f"cuda:{index}",
        kind="cuda",
        name=pynvml.nvmlDeviceGetName(handle),
        machine=machine_name(),
        memory_bytes=int(pynvml.nvmlDeviceGetMemoryInfo(handle).total),
        capability=tuple(pynvml.nvmlDeviceGetCudaComputeCapability(handle)),
        uuid=pynvml.nvmlDeviceGetUUID(handle),
    )


def _all_gpus(found: Sequence[Device]) -> list[Device]:
    """All GPUs as one device more, for runs that are spread over them; nothing where there are not several."""
    if len(found) < 2:
        return []
    name = " + ".join(f"{count} x {name}" for name, count in Counter(d.name for d in found).items())
    return [
        Device(
            "cuda:all", "cuda", name, machine_name(), sum(d.memory_bytes for d in found), min(d.capability or (0, 0) for d in found),
            ",".join(str(d.uuid) for d in found), tuple(d.id for d in found),
        )
    ]  # fmt: skip


def _visible(found: Sequence[Device], wanted: str) -> tuple[list[Device], list[str]]:
    """What CUDA_VISIBLE_DEVICES leaves: indices or (beginnings of) UUIDs. As in CUDA, an entry that fits no GPU ends the list."""
    visible: list[Device] = []
    problems = []
    for entry in filter(None, map(str.strip, wanted.split(","))):
        fits = [d for d in found if d.id == f"cuda:{entry}" or (entry.startswith("GPU-") and str(d.uuid).startswith(entry))]
        if len(fits) != 1:
            problems.append(f"CUDA_VISIBLE_DEVICES: {entry!r} is not a GPU here, so it and what follows is left out")
            break
        visible += [d for d in fits if d not in visible]
    problems += [f"{d.id}: left out by CUDA_VISIBLE_DEVICES={wanted}" for d in found if d not in visible]
    return visible, problems


@functools.cache
def local_devices() -> tuple[Device, ...]:
    """GPUs first, then all of them as one, then the CPU. Read once per process: hardware does not change under a scheduler."""
    cpu = Device("cpu", "cpu", cpu_name(), machine_name(), usable_memory())
    gpus = cuda_devices()[0]
    return (*gpus, *_all_gpus(gpus), cpu)


def offered(schedulers: Sequence[dict[str, Any]], local: Sequence[Device]) -> list[Device]:
    """Devices that schedulers publish; this machine's where none is alive."""
    published = {d["key"]: Device.from_json(d) for s in schedulers for d in s["devices"]}
    return list(published.values()) or list(local)


def find_device(wanted: str) -> Device:
    """The first local device that answers a request. Raises ValueError with the devices there are."""
    for device in local_devices():
        if device.answers(wanted):
            return device
    here = ", ".join(d.id for d in local_devices())
    raise ValueError(f"device: {wanted!r} is not on this machine (here: {here})")
