"""What the tests of the scheduler share: experiments that misbehave, and what became of them."""

from __future__ import annotations

import contextlib
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Engine, func, select, text

from db import queue
from db.tables import Measurement, Run
from db.tables import Scheduler as AliveScheduler
from engine.devices import Device
from engine.executor import LocalExecutor
from engine.scheduler import Scheduler
from engine.settings import REPOSITORY, runs_dir
from engine.specs import ExperimentSpec, RunKind, expand
from tests.engine.processes import CPU, local_executor, wait_for

LEASE, BEAT = 2.0, 0.2


def enqueue(db: Engine, mode: str, rounds: int = 1, **options: Any) -> str:
    """An experiment of the baseline and the variants given; its runs behave as `mode` says."""
    spec = ExperimentSpec.model_validate({"title": mode, "model": f"local:{mode}", "rounds": rounds} | options)
    name = secrets.token_urlsafe(16)
    experiment = {
        "id": name, "title": mode, "spec": spec.model_dump(mode="json"), "source": "local", "device": spec.device, "request_key": name,
    }  # fmt: skip
    variants = [{"name": v.name, "stack": [t.model_dump() for t in v.stack], "baseline": v.name == spec.baseline} for v in spec.variants]
    runs = [{"variant": p.variant, "round": p.round, "kind": "speed"} for p in expand(spec) if p.kind is RunKind.SPEED]
    return queue.submit(db, experiment=experiment, variants=variants, runs=runs)


def rows(db: Engine) -> list[Any]:
    with db.begin() as connection:
        return list(connection.execute(select(Run.__table__).order_by(Run.id)).all())


def statuses(db: Engine) -> list[str]:
    return [row.status for row in rows(db)]


def count_measurements(db: Engine) -> int:
    with db.begin() as connection:
        return int(connection.execute(select(func.count()).select_from(Measurement)).scalar_one())


def count_schedulers(db: Engine) -> int:
    with db.begin() as connection:
        return int(connection.execute(select(func.count()).select_from(AliveScheduler)).scalar_one())


@contextlib.contextmanager
def locked(db: Engine) -> Iterator[None]:
    """While inside, nobody else can write anything that a scheduler writes."""
    with db.connect() as connection, connection.begin() as transaction:  # on SQLite that begins with the lock
        if db.dialect.name == "postgresql":
            connection.execute(text("LOCK TABLE runs, schedulers IN EXCLUSIVE MODE"))
        yield
        transaction.rollback()


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


def in_process(db: Engine, command: Sequence[str] | None = None, devices: Sequence[Device] = (CPU,)) -> Scheduler:
    executor = LocalExecutor(command) if command else local_executor()
    return Scheduler(db, executor, devices, lease=LEASE, beat=BEAT, pause=0.05)


class Process:
    """A scheduler in a process of its own."""

    def __init__(self, module: str = "tests.engine.scheduler_process", *arguments: str) -> None:
        command = [sys.executable, "-W", "error", "-m", module, *arguments, str(LEASE), str(BEAT)]
        self.popen = subprocess.Popen(command, cwd=REPOSITORY)
        self.pid = self.popen.pid

    def signal(self, number: signal.Signals) -> int | None:
        """Send it; wait for the end where that is what it causes. Returns the exit code then."""
        self.popen.send_signal(number)
        return self.popen.wait(60) if number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT) else None
