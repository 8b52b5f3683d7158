"""Whatever a run does, it ends once, with everything in the database and a reason where it failed."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from typing import Any

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

from db import queries, queue
from engine.analysis import Progress, exit_code, progress
from engine.locks import DeviceLock
from engine.settings import runs_dir
from tests.engine.processes import CPU, alive, wait_for
from tests.engine.scheduler.lab import (
    count_measurements,
    enqueue,
    executions,
    grandchildren,
    in_process,
    rows,
    started_runs,
    statuses,
)


def test_runs_end_with_everything_in_the_database(db: Engine) -> None:
    experiment = enqueue(db, "normal", rounds=2)
    said: list[str] = []
    in_process(db).run_until_idle(experiment, said.append)
    for row in rows(db):
        assert (row.status, row.reason, row.attempt) == ("succeeded", None, 1)
        assert row.evidence == {"float32": {"facts": {"layers": 2}, "problem": None}}
        assert row.log_tail == "all is well\n" and row.device == CPU.key
        assert 0 < row.seconds < 20 and row.host_peak_bytes > 2**20 and row.environment_id
    assert count_measurements(db) == 2
    assert said[0] == "run 1 of 2: queued"
    assert started_runs() == ["1.1", "2.1"]


def test_a_program_can_follow_every_run_in_the_log(db: Engine, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_LOG_FORMAT", "json")
    experiment = enqueue(db, "result-nul")
    in_process(db).run_until_idle(experiment)
    said = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [s["message"] for s in said] == ["started", "run started", "run ended", "stopped"]
    started, ended = said[1:3]
    assert (started["experiment"], started["run"], started["attempt"], started["kind"], started["device"]) == (experiment, 1, 1, "speed", "cpu")
    assert (ended["experiment"], ended["run"], ended["status"]) == (experiment, 1, "failed") and ended["seconds"] > 0
    assert "hf_***" in ended["reason"] and "hf_abc" not in json.dumps(said)


@pytest.mark.parametrize(("noise", "made"), [("0", 5), ("2", 12)])
def test_an_experiment_with_its_answers_ends_at_a_look(noise: str, made: int, db: Engine, capfd: pytest.CaptureFixture[str]) -> None:
    experiment = enqueue(db, f"timed-{noise}", rounds=12, stop_early=True, variants=["bfloat16"])
    later = enqueue(db, "normal")
    in_process(db).run_until_idle(later)
    runs = [r for r in rows(db) if r.experiment_id == experiment]
    assert [(r.round, r.status) for r in runs] == [(r, "succeeded") for r in range(made) for _ in range(2)]
    record = queries.record(db, experiment)
    assert record is not None and progress(record) == Progress(2 * made, 2 * made, None, 0.0) and exit_code(record) == 0
    assert ("is answered after round 5 of 12" in capfd.readouterr().err) == (made == 5)


def test_an_experiment_that_cannot_be_judged_goes_on_and_so_does_the_queue(db: Engine, capfd: pytest.CaptureFixture[str]) -> None:
    enqueue(db, "unheard", rounds=6, stop_early=True)
    in_process(db).run_until_idle(enqueue(db, "normal"))
    assert statuses(db) == ["succeeded"] * 7
    assert "goes on: metric: 'happiness' is not known to this version" in capfd.readouterr().err


def test_progress_and_log_are_seen_while_a_run_goes_on(db: Engine, scheduler: Any) -> None:
    enqueue(db, "sleep-2")
    scheduler()
    wait_for(lambda: rows(db)[0].phase == "warm-up: 2 of 3")
    assert statuses(db) == ["running"]
    wait_for(lambda: statuses(db) == ["succeeded"])


@pytest.mark.case("T43")
def test_a_run_that_breaks_does_not_stop_the_queue(db: Engine) -> None:
    for mode in ("segfault", "result-truncated", "exit_-0"):
        enqueue(db, mode)
    in_process(db).run_until_idle(enqueue(db, "normal"))
    assert statuses(db) == ["failed", "failed", "failed", "succeeded"]
    assert [(row.reason or "")[:17] for row in rows(db)[:3]] == ["signal 11: Fatal ", "unreadable result", "exit 0, no result"]
    assert count_measurements(db) == 4


@pytest.mark.case("T44", "T10")
def test_the_time_limit_ends_the_whole_tree(db: Engine) -> None:
    experiment = enqueue(db, "children-hang", timeout_seconds=1)
    in_process(db).run_until_idle(experiment)
    (row,) = rows(db)
    assert (row.status, row.reason) == ("timed_out", "time limit of 1 s")
    assert 1 < row.seconds < 3 and count_measurements(db) == 1
    assert len(grandchildren()) == 3 and not any(alive(pid) for pid in grandchildren())


def test_a_run_that_cannot_start_says_why(db: Engine) -> None:
    in_process(db, ["/no/such/python"]).run_until_idle(enqueue(db, "normal"))
    assert rows(db)[0].reason.startswith("could not start: FileNotFoundError")


@pytest.mark.case("T42")
def test_a_spec_that_is_no_longer_understood_says_why(db: Engine) -> None:
    experiment = enqueue(db, "normal")
    with db.begin() as connection:
        connection.exec_driver_sql("""UPDATE experiments SET spec = '{"title": "x", "model": "local:x", "rounds": 0}'""")
    in_process(db).run_until_idle(experiment)
    assert rows(db)[0].reason == "could not start: rounds: Input should be greater than or equal to 1 (given: 0)"


@pytest.mark.case("T17")
def test_a_full_disk_is_a_reason(db: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.disk.MINIMUM_FREE_BYTES", 10**18)
    in_process(db).run_until_idle(enqueue(db, "normal"))
    (row,) = rows(db)
    assert row.status == "failed" and row.reason.startswith("no_disk: ") and row.reason.endswith("; make room")
    assert executions() == []


def test_a_result_that_the_database_refuses_is_a_failure_with_a_reason(db: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    finish = queue.finish

    def refusing(db: Engine, claim: queue.Claim, **values: Any) -> bool:
        if values["measurements"]:
            raise ValueError("measurements: too long")
        return finish(db, claim, **values)

    monkeypatch.setattr(queue, "finish", refusing)
    in_process(db).run_until_idle(enqueue(db, "normal"))
    (row,) = rows(db)
    assert (row.status, row.reason) == ("failed", "the result could not be stored: ValueError: measurements: too long")


@pytest.mark.case("T12")
def test_a_device_in_use_is_waited_for(db: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    experiment = enqueue(db, "normal")
    lock = DeviceLock(CPU)
    assert lock.try_acquire("a test")
    waited = 0

    def say(text: str) -> None:
        nonlocal waited
        waited += 1
        assert waited > 5 or statuses(db) == ["queued"]
        if waited == 5:
            lock.release()

    in_process(db).run_until_idle(experiment, say)
    assert statuses(db) == ["succeeded"] and waited >= 5
    assert f"cpu is in use by pid {os.getpid()} (a test)" in capsys.readouterr().err


@pytest.mark.parametrize("first", range(1, 19))
@pytest.mark.case("T08")
def test_trouble_at_any_database_call_loses_nothing(db: Engine, first: int) -> None:
    """The n-th statement and the two after it fail, for every n that a short run reaches."""
    experiment = enqueue(db, "normal")
    calls = 0

    def fail(*args: Any) -> None:
        nonlocal calls
        calls += 1
        if first <= calls < first + 3:
            raise OperationalError("a statement", {}, sqlite3.OperationalError("database is locked"))

    event.listen(db, "before_cursor_execute", fail)
    try:
        in_process(db).run_until_idle(experiment)
    finally:
        event.remove(db, "before_cursor_execute", fail)
    (row,) = rows(db)
    assert calls > first + 2, "the trouble came in time"
    assert row.status == "succeeded" or "heartbeat" in row.reason, row.reason
    assert len(started_runs()) <= 1


def test_ctrl_c_in_the_foreground_ends_the_run_and_says_so(db: Engine) -> None:
    experiment = enqueue(db, "children-hang", rounds=2)

    def interrupt(text: str) -> None:
        written = runs_dir() / "1.1" / "pids"
        if written.exists() and written.read_text():  # a child that is ended between the two would never say whom it started
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        in_process(db).run_until_idle(experiment, interrupt)
    assert [(r.status, r.reason) for r in rows(db)] == [("failed", "the scheduler was stopped"), ("queued", None)]
    assert not any(alive(pid) for pid in grandchildren())
