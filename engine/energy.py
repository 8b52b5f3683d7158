"""The energy that a call takes on a GPU: NVML's counter of all energy so far, read around a pass of its own, idle subtracted.

The counter moves every 20 to 100 ms only. So a pass lasts a second at least, and begins and ends when the counter moves. Idle power
is measured in the same run before the first pass, with the model loaded. Where there is no counter, the run's details say why.
Needs neither torch nor a GPU to be imported.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.devices import Device
from engine.measurement import Point, Status

if TYPE_CHECKING:
    from engine.meter import Meter
    from engine.technique import Session

_PASS_SECONDS = 1.0
_SETTLE_SECONDS = 0.5
"""Before idle power is measured: the work that was just done must be over, and the clocks with it."""
_LONGEST_TICK_SECONDS = 1.0
_LOOK_SECONDS = 0.001


class Energy:
    """Measures energy in one run. details["energy"]: {"idle_watts": W}, or {"not_measured": why}."""

    def __init__(self, session: Session, meter: Meter) -> None:
        self._meter = meter
        self._idle_watts: float | None = None
        found = _open(session.device) if session.ranks.count == 1 else "several processes share the run"
        self._handles = [] if isinstance(found, str) else found
        if isinstance(found, str):
            meter.details["energy"] = {"not_measured": found}

    @property
    def usable(self) -> bool:
        return bool(self._handles)

    def record(self, metric: str, call: Callable[[], Any], tokens: int, point: Point) -> None:
        """Repeat a call and record its joules per token. tokens: of one call. Nothing where there is no counter."""
        if not self.usable:
            return
        import pynvml

        self._meter.phase(f"energy, {', '.join(f'{k} {v}' for k, v in point.items())}".replace("_", " "))
        try:
            joules, calls = self._above_idle(call)
        except (_UnusableError, pynvml.NVMLError) as error:
            self._meter.record_failure((metric,), point, Status.NOT_MEASURED, f"NVML's energy counter: {error}")
            return
        self._meter.record(metric, [joules / (calls * tokens)], point)

    def _above_idle(self, call: Callable[[], Any]) -> tuple[float, int]:
        """(joules above idle, how many calls took them)."""
        idle = self._idle()
        before, started = self._tick()
        calls = 0
        while calls == 0 or self._meter.now() - started < _PASS_SECONDS:
            call()
            calls += 1
        after, ended = self._tick()
        above = after - before - idle * (ended - started)
        if above <= 0:
            raise _UnusableError(f"{calls} calls took no more than idling does, {idle:.0f} W")
        return above, calls

    def _idle(self) -> float:
        if self._idle_watts is None:
            self._meter.synchronize()
            time.sleep(_SETTLE_SECONDS)
            before, started = self._tick()
            time.sleep(_PASS_SECONDS)
            after, ended = self._tick()
            self._idle_watts = (after - before) / (ended - started)
            self._meter.details["energy"] = {"idle_watts": round(self._idle_watts, 1)}
        return self._idle_watts

    def _tick(self) -> tuple[float, float]:
        """(joules so far, seconds on the meter's clock) at the moment when the counter moves."""
        first, started = self._joules(), self._meter.now()
        while (joules := self._joules()) == first:
            if self._meter.clock() - started > _LONGEST_TICK_SECONDS:
                raise _UnusableError(f"it has not moved for {_LONGEST_TICK_SECONDS:.0f} s")
            time.sleep(_LOOK_SECONDS)
        return joules, self._meter.clock()

    def _joules(self) -> float:
        """Of all GPUs of the device together."""
        import pynvml

        return sum(int(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) for handle in self._handles) / 1000


class _UnusableError(Exception):
    """The counter is there, and what it says cannot be used; the text says why."""


def _open(device: Device) -> list[Any] | str:
    """A handle of each of the device's GPUs, or why their energy cannot be measured."""
    if device.kind != "cuda":
        return "only GPUs have a counter of energy that a process may read"
    if not device.uuids:
        return "the device has no UUID that the driver would know it by"
    try:
        import pynvml
    except ImportError:
        return "the package nvidia-ml-py is not installed"
    try:
        pynvml.nvmlInit()
        # by UUID: an index counts the GPUs that this process may not use, too
        handles = [pynvml.nvmlDeviceGetHandleByUUID(uuid) for uuid in device.uuids]
        for handle in handles:
            pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError as error:
        return f"NVML's energy counter cannot be read: {error}"
    return handles
