"""The sink of all numbers in the child: writes measurements the moment they exist, and keeps the clock honest.

One line per point in results.jsonl, so that a process killed by the kernel still leaves its earlier points.
"""

from __future__ import annotations

import gc
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from engine import memory
from engine.marks import Marks
from engine.measurement import Measurement, Point, Status


class Meter:
    """Records measurements of one run. `device` is "cpu" or "cuda"; `details` are JSON facts beside the metrics.

    unseen_memory: why the counters of memory miss what this run takes; None where they see all of it.
    """

    def __init__(self, run_dir: Path, device: str, unseen_memory: str | None = None) -> None:
        self.device = device
        self.unseen_memory = unseen_memory
        self.recorded: list[Measurement] = []
        self.details: dict[str, Any] = {}
        self.clock: Callable[[], float] = time.perf_counter
        self._results = run_dir / "results.jsonl"
        self._progress = run_dir / "progress.json"

    def phase(self, name: str, step: int = 0, steps: int = 0) -> None:
        """Say what is being done; shown live. Written by rename, so that a reader never sees half of it."""
        write_json(self._progress, {"phase": name, "step": step, "steps": steps})

    def record(self, metric: str, samples: Iterable[float], point: Point | None = None, *,
               warmups: Iterable[float] = (), value: float | None = None) -> None:
        """Keep one metric at one point: raw samples in SI units, warm-up samples apart."""
        self._append(Measurement(metric, dict(point or {}), tuple(samples), tuple(warmups), value))

    def record_failure(self, metrics: Sequence[str], point: Point, status: Status, reason: str) -> None:
        """A point that could not be measured is a result of its own: it keeps its status and reason.

        What the point has measured before it failed stands; only the metrics that are still missing get a row.
        """
        measured = {m.metric for m in self.recorded if m.point == point}
        for name in (n for n in metrics if n not in measured):
            self._append(Measurement(name, dict(point), status=status, reason=reason))

    def record_peaks(self, peaks: Mapping[str, int], point: Point | None = None) -> None:
        """Keep what `peak_of` counted at a point; where the counters miss what the run takes, the reason in place of each."""
        for name, value in peaks.items():
            if self.unseen_memory is None:
                self.record(name, [value], point)
            else:
                self._append(Measurement(name, dict(point or {}), status=Status.NOT_MEASURED, reason=self.unseen_memory))

    def _append(self, measurement: Measurement) -> None:
        self.recorded.append(measurement)
        with self._results.open("a") as f:
            f.write(json.dumps(measurement.to_json(), allow_nan=False) + "\n")
            f.flush()
            os.fsync(f.fileno())

    def synchronize(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()

    def now(self) -> float:
        """Seconds on a monotonic clock, after the device has finished all queued work."""
        self.synchronize()
        return self.clock()

    def marks(self) -> Marks:
        """Moments inside one piece of work, beginning now."""
        return Marks(self.device, self.clock)

    def device_seconds(self, call: Callable[[], Any]) -> tuple[float | None, Any]:
        """Run a call between two CUDA events. Returns (seconds by the GPU's own clock, None on a CPU; what the call returned).

        A cross-check of wall time, never a metric: a reading that fails must not cost the run. What is wrong with the
        device itself shows at the next `now`.
        """
        if self.device != "cuda":
            return None, call()
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        result = call()
        try:
            end.record()
            end.synchronize()
            return float(start.elapsed_time(end)) / 1000, result
        except RuntimeError as error:
            self.details["device_seconds_not_measured"] = str(error).splitlines()[0]
            return None, result

    def peak_of(self, call: Callable[[], Any]) -> tuple[dict[str, int], Any]:
        """Run a call in a memory pass of its own. Returns ({metric: peak bytes}, what the call returned)."""
        can_reset = memory.reset_peak(self.device)
        result = call()
        return (memory.peaks(self.device) if can_reset else {}), result

    def extra_peak_of(self, call: Callable[[], Sequence[Any]]) -> int | None:
        """Bytes at the peak of a call above what is there before it and the tensors that it returns; None where this machine
        cannot reset its high-water mark."""
        gc.collect()
        if not memory.reset_peak(self.device):
            return None
        before = memory.peaks(self.device)["peak_memory_bytes"]
        results = call()
        return max(memory.peaks(self.device)["peak_memory_bytes"] - before - memory.storage_bytes(*results), 0)


def write_json(path: Path, data: Any) -> None:
    """Write a JSON file by atomic rename. Raises ValueError on NaN."""
    temporary = path.with_suffix(path.suffix + ".tmp")
    with temporary.open("w") as f:
        json.dump(data, f, allow_nan=False)
        f.flush()
        os.fsync(f.fileno())
    temporary.replace(path)


def is_out_of_memory(error: BaseException) -> bool:
    """Device or host out of memory, as torch and Python report it."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator: can't allocate memory" in str(error)
