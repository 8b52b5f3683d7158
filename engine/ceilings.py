"""What the device can do at most, measured in the process of a run: arithmetic, memory traffic, and starting an operator.

The last thing that a speed run does, so that it changes no time and no peak that was measured; a fraction of a second. What the
run reached is set against it in engine/answers/regimes.py. Its buffers stay within a quarter of the memory that is free.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from typing import Any

import psutil
import torch

from engine.devices import usable_memory
from engine.memory import release
from engine.technique import Session

_SIDES = {"cuda": (1024, 2048, 4096, 8192), "cpu": (256, 512, 1024)}
# Several times what caches hold, or the copy would measure them.
_COPIED_BYTES = {"cuda": 2**29, "cpu": 2**27}
_LEAST_COPIED_BYTES = 2**24
# Generous, for where other programs have the CPUs a small product is slow beyond all proportion.
_SLOW_SECONDS = 0.5
# The best of many: a few short ones in a row may all fall into a moment in which another program runs.
_TRYING_SECONDS = 0.05
_LAUNCHES = 200

Stopwatch = Callable[[Callable[[], Any]], float]


class MatrixProduct:
    """One product of two square matrices of random numbers, device "cuda" or "cpu", dtype by its torch name. Calling it does it."""

    def __init__(self, device: str, dtype: str, side: int | None = None) -> None:
        self.side = side or _SIDES[device][-1]
        shape, kind = (self.side, self.side), getattr(torch, dtype)
        # Random, never zeros: a GPU draws less power on them and runs faster.
        self._a, self._b, self._c = (torch.randn(shape, device=device, dtype=kind) for _ in range(3))

    def __call__(self) -> None:
        torch.mm(self._a, self._b, out=self._c)

    def rate(self, seconds: Stopwatch) -> float:
        """FLOP/s of the best of several, by this stopwatch."""
        return 2 * self.side**3 / _best(self, seconds)


def measure_ceilings(session: Session) -> dict[str, Any]:
    """The ceilings for the number type that the run's products are computed in; {"not_measured": reason} where they cannot be had.

    dtype, matrix_flops_per_second, copy_bytes_per_second (what is read and what is written both count), launch_seconds (one
    operator on one number, called from Python: on a GPU what its kernel costs to launch).
    """
    if session.ranks.count > 1 or session.device.gpus > 1:
        return {"not_measured": "several processes or GPUs share the run, and the ceilings of one of them are not theirs"}
    device, dtype = session.torch_device, compute_dtype(session)
    try:
        release(device)
        with torch.inference_mode():
            return {
                "dtype": dtype, "matrix_flops_per_second": _matrix_rate(device, dtype),
                "copy_bytes_per_second": _copy_rate(device), "launch_seconds": _launch_seconds(device),
            }  # fmt: skip
    except Exception as error:  # all that the run was asked for is measured by now
        traceback.print_exc()
        return {"not_measured": f"{type(error).__name__}: {error}"[:500]}


def compute_dtype(session: Session) -> str:
    """The torch dtype name that the model's matrix products are computed in."""
    if session.training is not None:
        with session.training.autocast():
            if torch.is_autocast_enabled(session.torch_device):
                return str(torch.get_autocast_dtype(session.torch_device)).removeprefix("torch.")
    chosen = getattr(session.plan.quantization, "bnb_4bit_compute_dtype", None)
    return session.plan.dtype if chosen is None else str(chosen).removeprefix("torch.")


def free_bytes(device: str) -> int:
    """Memory that may still be taken, on a CPU within what a container grants."""
    if device == "cuda":
        return int(torch.cuda.mem_get_info()[0])
    return min(int(psutil.virtual_memory().available), usable_memory() - int(psutil.Process().memory_info().rss))


def _matrix_rate(device: str, dtype: str) -> float:
    """FLOP/s: the best over growing sides, as long as the next one has room and does not take long."""
    found: list[float] = []
    room = free_bytes(device) // 4
    for side in _SIDES[device]:
        too_slow = bool(found) and 2 * side**3 / max(found) > _SLOW_SECONDS
        if too_slow or 3 * side**2 * getattr(torch, dtype).itemsize > room:
            break
        found.append(MatrixProduct(device, dtype, side).rate(lambda call: _seconds(call, device)))
    if not found:
        raise MemoryError(f"no room for a matrix product: {room} bytes may be taken")
    return max(found)


def _copy_rate(device: str) -> float:
    size = min(_COPIED_BYTES[device], free_bytes(device) // 8)
    if size < _LEAST_COPIED_BYTES:
        raise MemoryError(f"no room for a copy that is larger than the caches: {size} bytes may be taken")
    source = torch.rand(2**18, device=device).repeat(size // 2**20)
    target = torch.empty_like(source)
    return 2 * source.nbytes / _best(lambda: target.copy_(source), lambda call: _seconds(call, device))


def _launch_seconds(device: str) -> float:
    number = torch.zeros(1, device=device)

    def many() -> None:
        for _ in range(_LAUNCHES):
            number.add_(1)

    return _best(many, lambda call: _seconds(call, device)) / _LAUNCHES


def _best(call: Callable[[], Any], seconds: Stopwatch) -> float:
    seconds(call)  # the first one sets up
    found: list[float] = []
    while sum(found) < _TRYING_SECONDS:
        found.append(seconds(call))
    return min(found)


def _seconds(call: Callable[[], Any], device: str) -> float:
    if device == "cpu":
        started = time.perf_counter()
        call()
        return time.perf_counter() - started
    before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    before.record()
    call()
    after.record()
    after.synchronize()
    return float(before.elapsed_time(after)) / 1e3
