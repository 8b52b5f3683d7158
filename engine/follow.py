"""Waits for a queued experiment in the foreground: follows a live scheduler, else schedules itself."""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import Engine

from db import queries
from engine.analysis import progress
from engine.scheduler import Scheduler

_POLL_SECONDS = 1.0
# A scheduler beats every second; one that has not moved for this long is not counted on.
_SILENT_SECONDS = 10.0


def follow(db: Engine, experiment_id: str, say: Callable[[str], None]) -> None:
    """Return when every run of the experiment has ended."""
    if scheduler_is_alive(db):
        _watch(db, experiment_id, say)
    else:
        Scheduler.for_this_machine(db).run_until_idle(experiment_id, say)


def scheduler_is_alive(db: Engine) -> bool:
    """Whether any announced scheduler's counter moves; judged by this process's own clock, so it may take some seconds."""
    first = {s["id"]: s["beat"] for s in queries.schedulers(db)}
    deadline = time.monotonic() + _SILENT_SECONDS
    while first and time.monotonic() < deadline:
        time.sleep(0.5)
        now = {s["id"]: s["beat"] for s in queries.schedulers(db)}
        if any(now.get(i) != beat for i, beat in first.items() if i in now):
            return True
        first = {i: b for i, b in first.items() if i in now}
    return False


def _watch(db: Engine, experiment_id: str, say: Callable[[str], None]) -> None:
    while (record := queries.record(db, experiment_id, samples="none")) is not None:
        state = progress(record)
        if state.done == state.total:
            return
        say(f"run {state.done + 1} of {state.total}: {state.phase or 'queued'}")
        time.sleep(_POLL_SECONDS)
