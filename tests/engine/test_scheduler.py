"""The scheduler on a real database with real processes: nothing is lost, run twice, or left behind, whoever is killed when."""

from __future__ import annotations

import os
import secrets
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import Engine, event, func, select
from sqlalchemy.exc import OperationalError

from db import queue
from db.session import connect, migrate
from db.tables import Measurement, Run
from engine.executor import LocalExecutor
from engine.locks import DeviceLock
from engine.scheduler import Scheduler
from engine.settings import REPOSITORY, data_dir, database_url, runs_dir
from engine.specs import ExperimentSpec
from tests.engine.processes import CPU, alive, local_executor, processes_under, wait_for

LEASE, BEAT = 2.0, 0.2


@pytest.fixture
def db() -> Iterator[Engine]:
    data_dir().mkdir(parents=True)
    engine = connect(database_url())
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture(autouse=True)
def _nothing_left(db: Engine, tmp_path: Path) -> Iterator[None]:
    yield
    assert processes_under(tmp_path) == []
    assert "running" not in statuses(db)


def enqueue(db: Engine, mode: str, rounds: int = 1, **options: Any) -> str:
    """An experiment of one variant; its runs behave as `mode` says."""
    spec = ExperimentSpec.model_validate({"title": mode, "model": f"local:{mode}", "rounds": rounds} | options)
    name = secrets.token_urlsafe(16)
    experiment = {
        "id": name, "title": mode, "spec": spec.model_dump(mode="json"), "source": "local", "device": spec.device, "request_key": name,
    }  # fmt: skip
    variants = [{"name": "baseline", "stack": [], "baseline": True}]
    return queue.submit(
        db, experiment=experiment, variants=variants,
        runs=[{"variant": 0, "round": r, "kind": "speed"} for r in range(rounds)],
    )  # fmt: skip


def rows(db: Engine) -> list[Any]:
    with db.begin() as connection:
        return list(connection.execute(select(Run.__table__).order_by(Run.id)).all())


def statuses(db: Engine) -> list[str]:
    return [row.status for row in rows(db)]


def count_measurements(db: Engine) -> int:
    with db.begin() as connection:
        return int(connection.execute(select(func.count()).select_from(Measurement)).scalar_one())


def executions() -> list[list[str]]:
    """[folder of the run, pid] when it began and [folder, 'ended'] when it ended well, in this order."""
    path = runs_dir() / "executions"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def started_runs() -> list[str]:
    return [name for name, what in executions() if what != "ended"]


def child_pid(run: str = "1.1") -> int:
    return int(wait_for(lambda: [what for name, what in executions() if name == run])[0])


def grandchildren(run: str = "1.1") -> list[int]:
    path = runs_dir() / run / "pids"
    return [int(p) for p in wait_for(lambda: path.exists() and path.read_text()).split()]


def in_process(db: Engine, command: Sequence[str] | None = None) -> Scheduler:
    executor = LocalExecutor(command) if command else local_executor()
    return Scheduler(db, executor, [CPU], lease=LEASE, beat=BEAT, pause=0.05)


class Process:
    """A scheduler in a process of its own."""

    def __init__(self) -> None:
        command = [sys.executable, "-W", "error", "-m", "tests.engine.scheduler_process", str(LEASE), str(BEAT)]
        self.popen = subprocess.Popen(command, cwd=REPOSITORY)
        self.pid = self.popen.pid

    def signal(self, number: signal.Signals) -> int | None:
        """Send it; wait for the end where that is what it causes. Returns the exit code then."""
        self.popen.send_signal(number)
        return self.popen.wait(20) if number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT) else None


@pytest.fixture
def scheduler() -> Iterator[Any]:
    """Starts scheduler processes, and ends them after the test the way a service manager does."""
    processes: list[Process] = []

    def start() -> Process:
        processes.append(Process())
        return processes[-1]

    yield start
    for process in processes:
        if process.popen.poll() is None:
            process.popen.send_signal(signal.SIGCONT)
            assert process.signal(signal.SIGTERM) == 0


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


def test_progress_and_log_are_seen_while_a_run_goes_on(db: Engine, scheduler: Any) -> None:
    enqueue(db, "sleep-2")
    scheduler()
    wait_for(lambda: rows(db)[0].phase == "warm-up 2 of 3")
    assert statuses(db) == ["running"]
    wait_for(lambda: statuses(db) == ["succeeded"])


def test_a_run_that_breaks_does_not_stop_the_queue(db: Engine) -> None:
    for mode in ("segfault", "result-truncated", "exit_-0"):
        enqueue(db, mode)
    in_process(db).run_until_idle(enqueue(db, "normal"))
    assert statuses(db) == ["failed", "failed", "failed", "succeeded"]
    assert [(row.reason or "")[:17] for row in rows(db)[:3]] == ["signal 11: Fatal ", "unreadable result", "exit 0, no result"]
    assert count_measurements(db) == 4


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


def test_a_spec_that_is_no_longer_understood_says_why(db: Engine) -> None:
    experiment = enqueue(db, "normal")
    with db.begin() as connection:
        connection.exec_driver_sql("""UPDATE experiments SET spec = '{"title": "x", "model": "local:x", "rounds": 0}'""")
    in_process(db).run_until_idle(experiment)
    assert rows(db)[0].reason == "could not start: rounds: Input should be greater than or equal to 1 (given: 0)"


def test_a_full_disk_is_a_reason(db: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.live_run.MINIMUM_FREE_BYTES", 10**18)
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
        if (runs_dir() / "1.1" / "pids").exists():
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        in_process(db).run_until_idle(experiment, interrupt)
    assert [(r.status, r.reason) for r in rows(db)] == [("failed", "the scheduler was stopped"), ("queued", None)]
    assert not any(alive(pid) for pid in grandchildren())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_scheduler_leaves_nothing_running_and_the_rest_queued(db: Engine, scheduler: Any, number: signal.Signals) -> None:
    enqueue(db, "children-hang", rounds=3)
    process = scheduler()
    pids = grandchildren()
    assert process.signal(number) == 0
    assert [(r.status, r.reason) for r in rows(db)] == [("failed", "the scheduler was stopped")] + [("queued", None)] * 2
    assert not any(alive(pid) for pid in (*pids, child_pid()))


@pytest.mark.parametrize("mode", ["hang", "deaf"])
def test_a_killed_scheduler_takes_its_child_along_and_another_one_goes_on(db: Engine, scheduler: Any, mode: str) -> None:
    enqueue(db, mode)
    enqueue(db, "normal", rounds=2)
    killed = scheduler()
    child = child_pid()
    scheduler()
    time.sleep(2 * BEAT + 1)
    assert statuses(db) == ["running", "queued", "queued"]
    killed.signal(signal.SIGKILL)
    wait_for(lambda: not alive(child), 3)
    wait_for(lambda: statuses(db) == ["failed", "succeeded", "succeeded"], LEASE + 5)
    assert f"no sign of life from its scheduler for {LEASE:g} s" in rows(db)[0].reason
    assert started_runs() == ["1.1", "2.1", "3.1"]


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


def test_a_locked_database_delays_the_result_and_nothing_else(db: Engine, scheduler: Any) -> None:
    enqueue(db, "sleep-1")
    scheduler()
    scheduler()
    child_pid()
    wait_for(lambda: rows(db)[0].phase)
    locker = sqlite3.connect(data_dir() / "lab.db", isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    wait_for(lambda: ["1.1", "ended"] in executions())
    time.sleep(2 * LEASE)
    locker.execute("ROLLBACK")
    locker.close()
    wait_for(lambda: statuses(db) == ["succeeded"])
    assert started_runs() == ["1.1"] and count_measurements(db) == 1


def test_two_schedulers_never_use_one_device_at_once(db: Engine, scheduler: Any) -> None:
    enqueue(db, "sleep-0.3", rounds=8)
    scheduler()
    scheduler()
    wait_for(lambda: statuses(db) == ["succeeded"] * 8, 30)
    lines = executions()
    assert [name for name, _ in lines[::2]] == [name for name, _ in lines[1::2]], "each ended before the next began"
    assert sorted(started_runs(), key=float) == [f"{n}.1" for n in range(1, 9)]


def test_orphans_without_a_mark_and_zombies_are_swept_too(db: Engine, scheduler: Any) -> None:
    enqueue(db, "children-bare-end")
    process = scheduler()
    wait_for(lambda: statuses(db) == ["failed"])
    assert rows(db)[0].reason == "exit 4, no result"
    assert not any(alive(pid) for pid in grandchildren())
    wait_for(lambda: psutil.Process(process.pid).children(recursive=True) == [], 5)


def test_a_run_killed_by_a_person_is_a_failure(db: Engine, scheduler: Any) -> None:
    enqueue(db, "hang")
    scheduler()
    os.kill(child_pid(), signal.SIGKILL)
    wait_for(lambda: statuses(db) == ["failed"])
    assert rows(db)[0].reason == "signal 9"


def test_the_scheduler_never_imports_torch() -> None:
    code = "import sys, engine.scheduler; from engine.registry import discover; discover(); print({'torch', 'pandas', 'streamlit'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert out.stdout == "set()\n"
