"""Moments inside a piece of work, on the clock of the device that does it, taken without waiting for it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch


class Marks:
    """Named moments. On a GPU they are CUDA events in the stream, so that marking costs no synchronization.

    device: "cpu" or "cuda". clock: seconds; what a CPU's moments are read from.
    """

    def __init__(self, device: str, clock: Callable[[], float] = time.perf_counter) -> None:
        self._cuda, self._clock = device == "cuda", clock
        self._moments: list[tuple[str, Any]] = []
        self.mark("start")

    def mark(self, name: str) -> None:
        """`name` says what has just ended."""
        if self._cuda:
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            self._moments.append((name, event))
        else:
            self._moments.append((name, self._clock()))

    def seconds(self) -> dict[str, float]:
        """Name -> seconds that ended under it, all of them together; "total" from the first moment to the last. Waits for a GPU."""
        if self._cuda:
            self._moments[-1][1].synchronize()
        found: dict[str, float] = defaultdict(float)
        for (_, before), (name, after) in zip(self._moments, self._moments[1:], strict=False):
            found[name] += self._between(before, after)
        return found | {"total": self._between(self._moments[0][1], self._moments[-1][1])}

    def _between(self, before: Any, after: Any) -> float:
        return float(before.elapsed_time(after)) / 1000 if self._cuda else after - before
