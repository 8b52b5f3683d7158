"""Profiles a few steps of a workload with torch's profiler: a Chrome trace that is kept, and the largest operators as numbers.

Always in a run of its own: a profiler slows what it watches, so no timed pass shares a process with one.
"""

from __future__ import annotations

import gzip
import hashlib
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from engine.profiles import Kernel, Operator, Profile, Region, Trace, cpu_shares, gpu_shares, trace_file

STEP = "step"
"""The region around each profiled step."""

LARGEST_TRACE_BYTES = 200 * 10**6
TRACES_KEPT = 200

_STEPS, _SLOW_SECONDS = 3, 5.0
_OPERATORS, _KERNELS, _REGIONS, _NAME_CHARACTERS = 30, 15, 20, 200


def profile_call(call: Callable[[], Any], what: str, device: str, artifacts: Path, *, sees_operators: bool = True) -> Profile:
    """Warm up, profile a few calls, keep the trace.

    call: one step. what: the same in words. device: "cpu" or "cuda". sees_operators: False where another runtime than torch does
    the work, so that on a CPU the profiler sees next to nothing of it.
    """
    found, steps = watch(call, device)
    window = sum(_seconds(e) for e in found.events() if _is_cpu(e) and e.name == STEP)
    averages = found.key_averages()
    operators = sorted((_operator(row, device) for row in operator_rows(averages)), key=lambda o: _rank(o, device), reverse=True)
    # only on a CPU: what runs on a GPU is seen there, whoever launched it
    blind = None if sees_operators or device == "cuda" else "another runtime than torch does the work, and torch's profiler does not see into it"
    return Profile(
        what=what, device="cuda" if device == "cuda" else "cpu", steps=steps, step_seconds=window / steps,
        shares=None if blind else _shares(found.events(), window, device), shares_not_measured=blind,
        operators=tuple(operators[:_OPERATORS]), operators_total=len(operators),
        cpu_seconds_total=sum(o.cpu_seconds for o in operators), device_seconds_total=sum(o.device_seconds for o in operators),
        kernels=_kernels(averages), regions=_regions(averages), trace=keep_trace(found, artifacts),
    )  # fmt: skip


def watch(call: Callable[[], Any], device: str) -> tuple[profile, int]:
    """(the profiler after a few calls, how many). Two calls before them are not kept: the first may compile, in the second the
    profiler itself sets up. Slow steps are profiled once."""
    call()
    started = time.perf_counter()
    _watched(call, device, 1)
    steps = 1 if time.perf_counter() - started > _SLOW_SECONDS else _STEPS
    return _watched(call, device, steps), steps


def _watched(call: Callable[[], Any], device: str, steps: int) -> profile:
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device == "cuda" else [])
    found = profile(activities=activities, record_shapes=True, profile_memory=True)
    with found:
        for _ in range(steps):
            with record_function(STEP):
                call()
                if device == "cuda":
                    torch.cuda.synchronize()  # the step ends when its kernels do
    return found


def operator_rows(averages: Iterable[Any]) -> list[Any]:
    """Of key_averages(): the operators, without named regions and without the kernels, whose time the operators that launched them carry."""
    return [row for row in averages if _is_cpu(row) and not row.is_user_annotation]


def keep_trace(found: profile, artifacts: Path) -> Trace:
    """Compress the Chrome trace into the artifacts, under its hash; the oldest ones make room. Too large a trace is left out."""
    folder = artifacts / "traces"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        raw, packed = Path(scratch) / "trace.json", Path(scratch) / "trace.json.gz"
        found.export_chrome_trace(str(raw))
        if (size := raw.stat().st_size) > LARGEST_TRACE_BYTES:
            return Trace(absent=f"it was {size >> 20} MiB large, at most {LARGEST_TRACE_BYTES >> 20} MiB are kept; profile a smaller step")
        packed.write_bytes(gzip.compress(raw.read_bytes(), mtime=0))
        trace = Trace(sha256=hashlib.sha256(packed.read_bytes()).hexdigest(), size_bytes=packed.stat().st_size)
        place = trace_file(artifacts, trace)
        assert place is not None
        packed.replace(place)
    _prune(folder)
    return trace


def _prune(folder: Path) -> None:
    aged = sorted(folder.glob("*.json.gz"), key=lambda p: p.stat().st_mtime_ns, reverse=True)
    for old in aged[TRACES_KEPT:]:
        old.unlink(missing_ok=True)


def _shares(events: Iterable[Any], window: float, device: str) -> dict[str, float]:
    if device == "cuda":
        kernels = [e for e in events if not _is_cpu(e) and not e.is_user_annotation]
        return gpu_shares(window, [(e.name, e.time_range.start / 1e6, e.time_range.end / 1e6) for e in kernels])
    on_cpu = [e for e in events if _is_cpu(e)]
    threads = {e.thread for e in on_cpu if e.name == STEP}
    within = [e for e in on_cpu if e.thread in threads and not e.is_user_annotation]
    return cpu_shares(window, [(e.name, e.self_cpu_time_total / 1e6) for e in within])


def _operator(row: Any, device: str) -> Operator:
    memory = row.self_device_memory_usage if device == "cuda" else row.self_cpu_memory_usage
    return Operator(
        name=row.key[:_NAME_CHARACTERS], calls=row.count, cpu_seconds=row.self_cpu_time_total / 1e6,
        device_seconds=row.self_device_time_total / 1e6, memory_bytes=memory,
    )  # fmt: skip


def _rank(operator: Operator, device: str) -> float:
    return operator.device_seconds if device == "cuda" else operator.cpu_seconds


def _kernels(averages: Iterable[Any]) -> tuple[Kernel, ...]:
    found = [r for r in averages if not _is_cpu(r) and not r.is_user_annotation]
    found.sort(key=lambda r: r.self_device_time_total, reverse=True)
    return tuple(Kernel(name=r.key[:_NAME_CHARACTERS], calls=r.count, seconds=r.self_device_time_total / 1e6) for r in found[:_KERNELS])


def _regions(averages: Iterable[Any]) -> tuple[Region, ...]:
    found = [r for r in averages if _is_cpu(r) and r.is_user_annotation and r.key != STEP]
    found.sort(key=lambda r: r.cpu_time_total, reverse=True)
    return tuple(
        Region(name=r.key[:_NAME_CHARACTERS], calls=r.count, cpu_seconds=r.cpu_time_total / 1e6, device_seconds=r.device_time_total / 1e6)
        for r in found[:_REGIONS]
    )


def _is_cpu(event: Any) -> bool:
    return bool(event.device_type.name == "CPU")


def _seconds(event: Any) -> float:
    return float(event.time_range.elapsed_us()) / 1e6
