"""Runs an experiment through the queue and waits for it: a live scheduler does it, else this process schedules itself."""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import Engine

from db import queries
from engine import api
from engine.analysis import progress
from engine.devices import Device, find_device, local_devices
from engine.scheduler import Scheduler
from engine.specs import ExperimentSpec

_POLL_SECONDS = 1.0
# A scheduler beats every second; one that has not moved for this long is not counted on.
_SILENT_SECONDS = 10.0


def run_queued(db: Engine, spec: ExperimentSpec, announce: Callable[[str], None], say: Callable[[str], None]) -> str:
    """Queue an experiment and return its id when every run of it has ended. announce: called with the id before that.

    Raises ValueError, and queues nothing, where no live scheduler offers such a device and this machine has none: it would
    wait for ever.
    """
    offered = [d for d in devices_of_live_schedulers(db) if d.answers(spec.device)]
    if not offered:
        find_device(spec.device)
    experiment = api.submit(db, spec, devices=offered or local_devices())
    announce(experiment)
    if offered:
        _watch(db, experiment, say)
    else:
        Scheduler.for_this_machine(db).run_until_idle(experiment, say)
    return experiment


def devices_of_live_schedulers(db: Engine) -> list[Device]:
    """What the announced schedulers offer whose counters move; judged by this process's own clock, so it may take some seconds."""
    first = {s["id"]: s["beat"] for s in queries.schedulers(db)}
    deadline = time.monotonic() + _SILENT_SECONDS
    moved: dict[str, list[Device]] = {}
    while first.keys() - moved.keys() and time.monotonic() < deadline:
        time.sleep(0.5)
        now = {s["id"]: s for s in queries.schedulers(db)}
        first = {i: beat for i, beat in first.items() if i in now}
        moved = {i: [Device.from_json(d) for d in now[i]["devices"]] for i, beat in first.items() if now[i]["beat"] != beat}
    return [device for devices in moved.values() for device in devices]


def _watch(db: Engine, experiment_id: str, say: Callable[[str], None]) -> None:
    while (record := queries.record(db, experiment_id, samples="none")) is not None:
        state = progress(record)
        if state.done == state.total:
            return
        say(f"run {state.done + 1} of {state.total}: {state.phase or 'queued'}")
        time.sleep(_POLL_SECONDS)
