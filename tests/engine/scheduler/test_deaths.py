"""Whoever is killed, stopped or paused when: nothing is lost, run twice or left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import Any

import psutil
import pytest
from sqlalchemy import Engine

from db import queue
from engine.settings import REPOSITORY
from tests.engine.processes import alive, wait_for
from tests.engine.scheduler.lab import (
    BEAT,
    LEASE,
    child_pid,
    count_measurements,
    count_schedulers,
    enqueue,
    executions,
    grandchildren,
    locked,
    rows,
    started_runs,
    statuses,
)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_scheduler_leaves_nothing_running_and_the_rest_queued(db: Engine, scheduler: Any, number: signal.Signals) -> None:
    enqueue(db, "children-hang", rounds=3)
    process = scheduler()
    pids = grandchildren()
    assert process.signal(number) == 0
    assert [(r.status, r.reason) for r in rows(db)] == [("failed", "the scheduler was stopped")] + [("queued", None)] * 2
    assert not any(alive(pid) for pid in (*pids, child_pid()))


@pytest.mark.parametrize("mode", ["hang", "deaf"])
@pytest.mark.case("T01", "T11")
def test_a_killed_scheduler_takes_its_child_along_and_another_one_goes_on(db: Engine, scheduler: Any, mode: str) -> None:
    enqueue(db, mode)
    enqueue(db, "normal", rounds=2)
    killed = scheduler()
    child = child_pid()
    scheduler()
    wait_for(lambda: count_schedulers(db) == 2, 90)  # only one that came while the first lived waits for its lease
    time.sleep(2 * BEAT + 1)
    assert statuses(db) == ["running", "queued", "queued"]
    killed.signal(signal.SIGKILL)
    wait_for(lambda: not alive(child), 3)
    wait_for(lambda: statuses(db) == ["failed", "succeeded", "succeeded"], LEASE + 5)
    assert f"no sign of life from its scheduler for {LEASE:g} s" in rows(db)[0].reason
    assert started_runs() == ["1.1", "2.1", "3.1"]


@pytest.mark.case("T02")
def test_a_restarted_scheduler_takes_over_at_once(db: Engine, scheduler: Any) -> None:
    enqueue(db, "children-hang")
    enqueue(db, "normal", rounds=5)
    first = scheduler()
    pids = grandchildren()
    first.signal(signal.SIGKILL)
    wait_for(lambda: not alive(child_pid()), 3)
    assert all(alive(pid) for pid in pids), "they outlive their scheduler, so that this test shows who ends them"
    started = time.monotonic()
    scheduler()
    wait_for(lambda: statuses(db) == ["failed"] + ["succeeded"] * 5)
    assert rows(db)[0].reason == "the scheduler was restarted"
    assert rows(db)[0].ended_at is not None and time.monotonic() - started < 10
    assert not any(alive(pid) for pid in pids)
    assert started_runs() == [f"{n}.1" for n in range(1, 7)]


@pytest.mark.case("T03")
def test_a_paused_scheduler_cannot_write_over_what_was_decided_meanwhile(db: Engine, scheduler: Any) -> None:
    enqueue(db, "sleep-1")
    enqueue(db, "normal")
    paused = scheduler()
    child_pid()
    paused.signal(signal.SIGSTOP)
    scheduler()
    wait_for(lambda: statuses(db)[0] == "failed", LEASE + 5)
    assert statuses(db)[1] == "queued", "the paused scheduler still holds the device"
    wait_for(lambda: ["1.1", "ended"] in executions())
    before = rows(db)[0]
    paused.signal(signal.SIGCONT)
    wait_for(lambda: statuses(db)[1] == "succeeded")
    assert rows(db)[0] == before and count_measurements(db) == 1
    assert started_runs() == ["1.1", "2.1"]


@pytest.mark.case("T09", "T10")
def test_cancelling_queued_running_and_ended_runs(db: Engine, scheduler: Any) -> None:
    done = enqueue(db, "normal")
    running = enqueue(db, "children-hang", rounds=2)
    queued = enqueue(db, "normal")
    scheduler()
    pids = grandchildren("2.1")
    started = time.monotonic()
    assert queue.cancel_experiment(db, queued) == 1
    assert statuses(db)[3] == "cancelled"
    queue.cancel_experiment(db, running)
    queue.cancel_experiment(db, done)
    wait_for(lambda: statuses(db) == ["succeeded", "cancelled", "cancelled", "cancelled"], 5)
    assert not any(alive(pid) for pid in (*pids, child_pid("2.1")))
    assert time.monotonic() - started < 5
    assert rows(db)[1].reason == "cancelled on request" and count_measurements(db) == 2
    assert started_runs() == ["1.1", "2.1"]


@pytest.mark.case("T19")
@pytest.mark.parametrize("seconds", [2 * LEASE, pytest.param(35.0, marks=pytest.mark.faults)])  # the longer one outlasts every wait for a lock
def test_a_locked_database_delays_the_result_and_nothing_else(db: Engine, scheduler: Any, seconds: float) -> None:
    enqueue(db, "sleep-1")
    scheduler()
    scheduler()
    child_pid()
    wait_for(lambda: rows(db)[0].phase)
    with locked(db):
        wait_for(lambda: ["1.1", "ended"] in executions())
        time.sleep(seconds)
    wait_for(lambda: statuses(db) == ["succeeded"])
    assert started_runs() == ["1.1"] and count_measurements(db) == 1


@pytest.mark.case("T12")
def test_two_schedulers_never_use_one_device_at_once(db: Engine, scheduler: Any) -> None:
    enqueue(db, "sleep-0.3", rounds=8)
    scheduler()
    scheduler()
    wait_for(lambda: statuses(db) == ["succeeded"] * 8, 30)
    lines = executions()
    assert [name for name, _ in lines[::2]] == [name for name, _ in lines[1::2]], "each ended before the next began"
    assert sorted(started_runs(), key=float) == [f"{n}.1" for n in range(1, 9)]


@pytest.mark.case("T10")
def test_orphans_without_a_mark_and_zombies_are_swept_too(db: Engine, scheduler: Any) -> None:
    enqueue(db, "children-bare-end")
    process = scheduler()
    wait_for(lambda: statuses(db) == ["failed"])
    assert rows(db)[0].reason == "exit 4, no result"
    assert not any(alive(pid) for pid in grandchildren())
    wait_for(lambda: psutil.Process(process.pid).children(recursive=True) == [], 5)


@pytest.mark.case("T15")
def test_a_run_killed_by_a_person_is_a_failure(db: Engine, scheduler: Any) -> None:
    enqueue(db, "hang")
    scheduler()
    os.kill(child_pid(), signal.SIGKILL)
    wait_for(lambda: statuses(db) == ["failed"])
    assert rows(db)[0].reason == "signal 9: killed from outside"


def test_the_scheduler_never_imports_torch() -> None:
    code = "import sys, engine.scheduler; from engine.registry import discover; discover(); print({'torch', 'pandas', 'streamlit'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert out.stdout == "set()\n"
