"""The hardware and software fingerprint of a run, read in the child. Facts that never change during a run."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from engine.devices import Device, cpu_name, usable_cpus
from engine.environments import current
from engine.record import LAYERED

_PACKAGES = ("torch", "transformers", "tokenizers", "accelerate", "bitsandbytes", "torchao", "numpy", "triton")
_THROTTLE_REASONS = {
    "GpuIdle": "idle",
    "ApplicationsClocksSetting": "clocks set by an administrator",
    "SwPowerCap": "power limit",
    "HwSlowdown": "hardware slowdown",
    "SyncBoost": "kept in step with other GPUs",
    "SwThermalSlowdown": "too hot (driver)",
    "HwThermalSlowdown": "too hot (hardware)",
    "HwPowerBrakeSlowdown": "power brake",
    "DisplayClockSetting": "display clocks",
}
"""NVML's names of why clocks are below their maximum, in words."""
_TROUBLE = ("hardware slowdown", "too hot (driver)", "too hot (hardware)", "power brake")
"""Those that make a run slower than this device is. Not so the power limit: a large GPU at full load runs at it all the time, that is
its speed, and the limit is in the fingerprint. Idle, fixed and synchronized clocks are how the machine is set up."""
_SLOWDOWN_COUNTERS = {
    "SW_THERM_SLOWDOWN": "too hot (driver)", "HW_THERM_SLOWDOWN": "too hot (hardware)", "HW_POWER_BRAKE_SLOWDOWN": "power brake",
}  # fmt: skip
"""NVML's counters of the nanoseconds that the clocks were held down for such a reason."""
_SLOWDOWN_SHARE = 0.01
_CPU_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16", "asimd", "i8mm", "bf16")


def fingerprint(device: Device, threads: int) -> dict[str, Any]:
    """JSON facts: device, driver, CPU and its instruction sets, threads, precision switches, package versions.

    `packages` are the core environment's, equal for all variants of an experiment. What a technique's own environment puts
    in their place is under LAYERED.
    """
    layered = current()
    # whichever way the core's packages are found, PYTHONPATH too, a layered interpreter finds them the same way
    cores = [p for p in sys.path if layered is None or Path(p) != layered.packages]
    facts: dict[str, Any] = {
        "device": device.name,
        "device_kind": device.kind,
        "device_memory_bytes": device.memory_bytes,
        "machine": device.machine,
        "cpu": cpu_name(),
        "cpu_flags": [f for f in _CPU_FLAGS if f in cpu_flags()],
        "cpus": usable_cpus(),
        "threads": threads,
        "os": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {p: v for p, v in sorted(_installed(cores).items()) if p in _PACKAGES},
    }
    if layered is not None:
        facts[LAYERED] = {"environment": layered.name, "packages": _installed([str(layered.packages)])}
    if device.kind == "cuda":
        facts |= {
            "capability": list(device.capability or ()),
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            "driver": _driver(),
            "power_limit_watts": _power_limit(device),
        }
    return facts


def _installed(folders: list[str]) -> dict[str, str]:
    """{package: version} of what is installed there; the first of two of one name is the one that would be imported."""
    found: dict[str, str] = {}
    for distribution in importlib.metadata.distributions(path=folders):
        found.setdefault(distribution.name, distribution.version)
    return dict(sorted(found.items()))


def cpu_flags() -> set[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return set(next((line.partition(":")[2].split() for line in lines if line.startswith(("flags", "Features"))), []))


def _driver() -> str | None:
    import pynvml

    pynvml.nvmlInit()
    return str(pynvml.nvmlSystemGetDriverVersion())


def _power_limit(device: Device) -> float | None:
    import pynvml

    try:
        handle = pynvml.nvmlDeviceGetHandleByUUID(device.uuids[0])
        return float(pynvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000)
    except pynvml.NVMLError:  # some virtual machines do not say
        return None


class Surroundings:
    """What went on beside the run: CPU taken by others, GPU clocks, foreign processes. Recorded, never hidden.

    Made before CUDA starts in this process.
    """

    def __init__(self, device: Device) -> None:
        self.device = device
        self._gpus_before = [_gpu(uuid) for uuid in device.uuids]
        self._start, self._began = _cpu_times(), time.monotonic()
        self._own = sum(os.times()[:4])

    def facts(self) -> dict[str, Any]:
        """JSON facts since the start; `contended` and `throttled` name the reasons why the numbers must not be averaged in.

        A GPU is throttled if it says so before or after the run, or if its counters say so of more than 1 % of the time between.
        """
        ticks = os.sysconf("SC_CLK_TCK")
        total, busy, steal = (b - a for a, b in zip(self._start, _cpu_times(), strict=True))
        own = (sum(os.times()[:4]) - self._own) * ticks
        facts: dict[str, Any] = {}
        if total > 0:
            facts["cpu_share_of_others"] = round(max(0.0, busy - own) / total, 4)
            facts["cpu_share_stolen"] = round(steal / total, 4)
        if self.device.kind == "cuda":
            before, after = self._gpus_before, [_gpu(uuid) for uuid in self.device.uuids]
            facts |= {"gpu_before": before[0], "gpu_after": after[0]}
            if len(after) > 1:
                facts["other_gpus"] = {"before": before[1:], "after": after[1:]}
            if shared := [text for when, gpus in (("before", before), ("after", after)) for gpu in gpus for text in _shared(gpu, when)]:
                facts["contended"] = ", ".join(shared)
            if slow := [text for pair in zip(before, after, strict=True) for text in _slowed(*pair, time.monotonic() - self._began)]:
                facts["throttled"] = "GPU " + ", ".join(dict.fromkeys(slow))
        return facts


def _slowed(before: dict[str, Any], after: dict[str, Any], seconds: float) -> Iterator[str]:
    """'too hot (hardware) after the run', 'too hot (driver) for 12 s of the run'."""
    for when, gpu in (("before", before), ("after", after)):
        yield from (f"{reason} {when} the run" for reason in gpu.get("throttled_by", ()) if reason in _TROUBLE)
    counters = before.get("slowdown_seconds"), after.get("slowdown_seconds")
    if isinstance(counters[0], dict) and isinstance(counters[1], dict):
        for reason, end in counters[1].items():
            if (slow := end - counters[0].get(reason, end)) > _SLOWDOWN_SHARE * seconds:
                yield f"{reason} for {slow:.3g} s of the run"


def _shared(gpu: dict[str, Any], when: str) -> list[str]:
    n = gpu.get("foreign_processes")
    return [f"{n} other process{'es' if n != 1 else ''} on the GPU {when} the run"] if isinstance(n, int) and n else []


def _gpu(uuid: str) -> dict[str, Any]:
    """One reading of the GPU. What the driver does not tell is a text, 'not measured: ...'."""
    import pynvml

    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
    except pynvml.NVMLError as error:
        return {"not_measured": str(error)}
    readers: dict[str, Callable[[], Any]] = {
        "sm_clock_mhz": lambda: pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM),
        "memory_clock_mhz": lambda: pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_MEM),
        "temperature_celsius": lambda: pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU),
        "power_watts": lambda: pynvml.nvmlDeviceGetPowerUsage(handle) / 1000,
        "throttle_reasons": lambda: pynvml.nvmlDeviceGetCurrentClocksEventReasons(handle),
        "slowdown_seconds": lambda: _slowdown_seconds(handle),
        "foreign_processes": lambda: _foreign(len(pynvml.nvmlDeviceGetComputeRunningProcesses(handle))),
    }
    facts: dict[str, Any] = {}
    for name, read in readers.items():
        try:
            facts[name] = read()
        except pynvml.NVMLError as error:
            facts[name] = f"not measured: {error}"
    if isinstance(facts["throttle_reasons"], int):
        facts["throttled_by"] = _throttled_by(facts["throttle_reasons"])
    return facts


def _slowdown_seconds(handle: Any) -> dict[str, float]:
    """{reason: seconds since the driver was loaded}; reasons that this driver does not count are left out."""
    import pynvml

    fields = [getattr(pynvml, f"NVML_FI_DEV_CLOCKS_EVENT_REASON_{name}") for name in _SLOWDOWN_COUNTERS]
    values = pynvml.nvmlDeviceGetFieldValues(handle, fields)
    counted = zip(_SLOWDOWN_COUNTERS.values(), values, strict=True)
    return {reason: v.value.ullVal / 1e9 for reason, v in counted if v.nvmlReturn == pynvml.NVML_SUCCESS}


def _foreign(processes: int) -> int:
    """Those of the GPU's processes that are not this one.

    It is one of them as soon as CUDA has started in it. Counted, not looked for: in a container the driver lists the
    process numbers of the host, or none at all.
    """
    return max(0, processes - 1 if torch.cuda.is_initialized() else processes)


def _throttled_by(reasons: int) -> list[str]:
    """NVML's bit mask in words; a bit without a name is given as a number."""
    import pynvml

    words = {getattr(pynvml, f"nvmlClocksEventReason{name}"): text for name, text in _THROTTLE_REASONS.items()}
    bits = (1 << i for i in range(reasons.bit_length()))
    return [words.get(bit, hex(bit)) for bit in bits if reasons & bit]


def _cpu_times() -> tuple[float, float, float]:
    """(all ticks, busy ticks, stolen ticks) of this machine's CPUs so far; zeros where /proc/stat is absent."""
    try:
        fields = [float(x) for x in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    except (OSError, IndexError):
        return (0.0, 0.0, 0.0)
    idle, steal = fields[3] + fields[4], fields[7]
    return sum(fields), sum(fields) - idle - steal, steal
