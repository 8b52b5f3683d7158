"""Who is alive is not told by the time of day: schedulers whose clocks are decades apart share a queue, and nobody is taken for dead."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from sqlalchemy import Engine

from tests.engine.processes import wait_for
from tests.engine.scheduler.lab import LEASE, child_pid, count_schedulers, enqueue, rows, started_runs, statuses

MODULE = "tests.faults.processes.skewed_scheduler"


@pytest.mark.case("T07")
@pytest.mark.parametrize(("works", "watches"), [("1999", "2037"), pytest.param("2037", "1999", marks=pytest.mark.faults)])
def test_a_run_is_not_lost_to_a_scheduler_of_another_year(db: Engine, scheduler: Any, works: str, watches: str) -> None:
    enqueue(db, f"sleep-{LEASE * 2}")
    first = scheduler(MODULE, works)
    child_pid()
    scheduler(MODULE, watches)
    wait_for(lambda: count_schedulers(db) == 2)
    wait_for(lambda: statuses(db) != ["running"])
    (row,) = rows(db)
    assert (row.status, row.reason) == ("succeeded", None) and LEASE * 2 < row.seconds < 600
    assert str(row.started_at).startswith(works) and row.ended_at > row.started_at
    assert count_schedulers(db) == 2, "both are alive to the other"
    assert first.signal(signal.SIGTERM) == 0
    enqueue(db, "normal")
    wait_for(lambda: statuses(db) == ["succeeded"] * 2)
    assert str(rows(db)[1].started_at).startswith(watches)
    assert started_runs() == ["1.1", "2.1"]
