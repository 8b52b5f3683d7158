"""Whatever is killed, what was acknowledged is there and nothing is done twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, func, select, text

from db.tables import Experiment, Measurement, Run
from engine.settings import REPOSITORY
from tests.db.conftest import enqueue as enqueue_runs
from tests.engine.processes import alive, wait_for
from tests.engine.scheduler.lab import child_pid, enqueue, rows, started_runs, statuses


@contextmanager
def process(name: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A module of this folder. It is killed at the end of the block."""
    command = [sys.executable, "-m", f"tests.faults.processes.{name}", *arguments]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as started:
        yield started
        started.kill()


def count(db: Engine, table: Any) -> int:
    with db.begin() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def intact(db: Engine) -> bool:
    """What the database itself says, and that no row has lost its parent."""
    with db.begin() as connection:
        if db.dialect.name == "sqlite":
            checks = [connection.execute(text(f"PRAGMA {name}")).all() for name in ("integrity_check", "foreign_key_check")]
            return checks == [[("ok",)], []]
        orphans = select(func.count()).select_from(Run).outerjoin(Experiment, Experiment.id == Run.experiment_id).where(Experiment.id.is_(None))
        return connection.execute(orphans).scalar_one() == 0


@pytest.mark.case("T22")
@pytest.mark.parametrize("times", [3, pytest.param(40, marks=pytest.mark.faults)])
def test_what_a_killed_writer_has_acknowledged_is_there(db: Engine, times: int) -> None:
    chance, acknowledged = random.Random(7), []
    for _ in range(times):
        with process("writer") as writer:
            assert writer.stdout is not None
            acknowledged += [writer.stdout.readline().strip() for _ in range(chance.randrange(1, 40))]
            writer.send_signal(signal.SIGKILL)
            acknowledged += [line.strip() for line in writer.stdout if line.endswith("\n")]
    with db.begin() as connection:
        there = set(connection.execute(select(Experiment.id)).scalars())
    assert len(acknowledged) == len(set(acknowledged)) >= times and set(acknowledged) <= there
    assert len(there) <= len(acknowledged) + times, "one at most was stored and not said each time"
    assert count(db, Run) == 3 * len(there), "whole or not at all"
    assert intact(db)


@pytest.mark.case("T04")
@pytest.mark.faults
def test_after_a_reboot_one_run_of_twenty_is_lost_and_the_rest_is_done_once(db: Engine, scheduler: Any) -> None:
    enqueue(db, "hang")
    enqueue(db, "normal", rounds=19)
    first = scheduler()
    child = child_pid()
    first.signal(signal.SIGSTOP)  # or it might see its child's end and begin the next run
    os.kill(child, signal.SIGKILL)
    first.signal(signal.SIGKILL)
    wait_for(lambda: not alive(child))
    scheduler()
    wait_for(lambda: statuses(db) == ["failed"] + ["succeeded"] * 19, 120)
    assert rows(db)[0].reason == "the scheduler was restarted"
    assert started_runs() == [f"{n}.1" for n in range(1, 21)] and intact(db)


@pytest.mark.case("T05")
@pytest.mark.faults
def test_twelve_processes_execute_two_thousand_runs_once_each(db: Engine) -> None:
    for _ in range(20):
        enqueue_runs(db, runs=100)
    with ExitStack() as stack:
        claimers = [stack.enter_context(process("claimer", f"s{i}")) for i in range(12)]
        executed = [int(line) for claimer in claimers for line in claimer.stdout or ()]
        assert [claimer.wait(60) for claimer in claimers] == [0] * 12
    assert sorted(executed) == sorted(row.id for row in rows(db)) and len(executed) == 2000
    assert set(statuses(db)) == {"succeeded"} and {row.attempt for row in rows(db)} == {1}
    assert count(db, Measurement) == 2000 and intact(db)
