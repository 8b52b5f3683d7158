"""Times one kernel, and the machine's own ceiling for matrix products. Knows nothing of attention."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

_SIDE = {"cuda": 8192, "cpu": 1024}
_TRIES = 10


class Stopwatch:
    """Seconds of a call on "cuda" or "cpu". dtype: torch dtype name of the matrices that the ceiling is measured with."""

    def __init__(self, device: str, dtype: str) -> None:
        import torch

        self._cuda, self._side = device == "cuda", _SIDE[device]
        shape = (self._side, self._side)
        self._a, self._b, self._c = (torch.randn(shape, device=device, dtype=getattr(torch, dtype)) for _ in range(3))

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
        self.seconds(self._product)
        return 2 * self._side**3 / min(self.seconds(self._product) for _ in range(_TRIES))

    def _product(self) -> None:
        import torch

        torch.mm(self._a, self._b, out=self._c)
