"""The hardware and software fingerprint of a run, read in the child. Facts that never change during a run."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from engine.devices import Device, cpu_name, usable_cpus
from engine.environments import core_packages, current
from engine.record import LAYERED

_PACKAGES = ("torch", "transformers", "tokenizers", "accelerate", "bitsandbytes", "torchao", "numpy", "triton")
_CPU_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16", "asimd", "i8mm", "bf16")


def fingerprint(device: Device, threads: int) -> dict[str, Any]:
    """JSON facts: device, driver, CPU and its instruction sets, threads, precision switches, package versions.

    `packages` are the core environment's, equal for all variants of an experiment. What a technique's own environment puts
    in their place is under LAYERED.
    """
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
        "packages": {p: v for p, v in sorted(_installed(core_packages()).items()) if p in _PACKAGES},
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
    }
    if (layered := current()) is not None:
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
        handle = pynvml.nvmlDeviceGetHandleByUUID(device.uuid)
        return float(pynvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000)
    except pynvml.NVMLError:  # some virtual machines do not say
        return None


class Surroundings:
    """What went on beside the run: CPU taken by others, GPU clocks, foreign processes. Recorded, never hidden."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self._start = _cpu_times()
        self._own = sum(os.times()[:4])

    def facts(self) -> dict[str, Any]:
        """JSON facts since the start; `contended` names the reason why the numbers must not be averaged in."""
        ticks = os.sysconf("SC_CLK_TCK")
        total, busy, steal = (b - a for a, b in zip(self._start, _cpu_times(), strict=True))
        own = (sum(os.times()[:4]) - self._own) * ticks
        facts: dict[str, Any] = {}
        if total > 0:
            facts["cpu_share_of_others"] = round(max(0.0, busy - own) / total, 4)
            facts["cpu_share_stolen"] = round(steal / total, 4)
        return facts | (self._gpu() if self.device.kind == "cuda" else {})

    def _gpu(self) -> dict[str, Any]:
        import pynvml

        handle = pynvml.nvmlDeviceGetHandleByUUID(self.device.uuid)
        facts: dict[str, Any] = {}
        readers: dict[str, Callable[[], Any]] = {
            "sm_clock_mhz": lambda: pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM),
            "memory_clock_mhz": lambda: pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_MEM),
            "temperature_celsius": lambda: pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU),
            "power_watts": lambda: pynvml.nvmlDeviceGetPowerUsage(handle) / 1000,
            "throttle_reasons": lambda: pynvml.nvmlDeviceGetCurrentClocksEventReasons(handle),
            "gpu_processes": lambda: len(pynvml.nvmlDeviceGetComputeRunningProcesses(handle)),
        }
        for name, read in readers.items():
            try:
                facts[name] = read()
            except pynvml.NVMLError as error:
                facts[name] = f"not measured: {error}"
        if isinstance(facts["gpu_processes"], int) and facts["gpu_processes"] > 1:
            facts["contended"] = f"{facts['gpu_processes'] - 1} other processes on the GPU"
        return facts


def _cpu_times() -> tuple[float, float, float]:
    """(all ticks, busy ticks, stolen ticks) of this machine's CPUs so far; zeros where /proc/stat is absent."""
    try:
        fields = [float(x) for x in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    except (OSError, IndexError):
        return (0.0, 0.0, 0.0)
    idle, steal = fields[3] + fields[4], fields[7]
    return sum(fields), sum(fields) - idle - steal, steal
