"""Times one kernel, and the machine's own ceiling for matrix products. Knows nothing of attention."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


class Stopwatch:
    """Seconds of a call on "cuda" or "cpu". dtype: torch dtype name of the matrices that the ceiling is measured with."""

    def __init__(self, device: str, dtype: str) -> None:
        from engine.ceilings import MatrixProduct

        self._cuda, self._product = device == "cuda", MatrixProduct(device, dtype)

    def seconds(self, call: Callable[[], Any]) -> float:
        """One call. On a GPU a large matrix product is queued first: while it runs the call is launched, so that the time
        between the two events is the GPU's and not Python's."""
        if not self._cuda:
            start = time.perf_counter()
            call()
            return time.perf_counter() - start
        import torch

        before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        self._product()
        before.record()
        call()
        after.record()
        torch.cuda.synchronize()
        return float(before.elapsed_time(after)) / 1e3

    def ceiling(self) -> float:
        """FLOP/s of the best of several large matrix products."""
        return self._product.rate(self.seconds)
