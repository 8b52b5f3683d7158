"""Chaos: short runs, while every few seconds something is killed at random; then counts what became of them.

Usage: python -m tests.benchmarks.chaos [--seconds 900] [--runs 200] [--database postgresql] [--seed 7] [--out FILE]
Killed are schedulers (kill -9, SIGTERM, or stopped for longer than their lease), the child of a run, and the PostgreSQL server. The children
are those of the tests: they sleep, so that the kills are what takes the time. Prints one JSON object; exit code 1 where a promise is broken.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from db.session import connect, migrate
from engine import settings
from engine.measurement import Status
from tests.databases import PostgresServer
from tests.engine.processes import alive, processes_under
from tests.engine.scheduler.lab import LEASE, Process, count_measurements, enqueue, executions, rows, started_runs

SCHEDULERS = 2
QUIET_SECONDS = 180
"""How long the rest may take once nothing is killed any more."""


class Chaos:
    """Two schedulers, and everything that can be done to them."""

    def __init__(self, db: Engine, server: PostgresServer | None, seed: int) -> None:
        self._db, self._server, self._chance = db, server, random.Random(seed)
        self.schedulers = [Process() for _ in range(SCHEDULERS)]
        self.done: Counter[str] = Counter()

    def strike(self) -> None:
        possible: list[Callable[[], None]] = [self.kill_scheduler, self.stop_scheduler, self.pause_scheduler, self.kill_child, self.kill_child]
        what = self._chance.choice([*possible, self.crash_database] if self._server else possible)
        what()
        self.done[what.__name__] += 1

    def kill_scheduler(self, number: signal.Signals = signal.SIGKILL) -> None:
        index = self._chance.randrange(SCHEDULERS)
        self.schedulers[index].signal(number)
        self.schedulers[index] = Process()

    def stop_scheduler(self) -> None:
        self.kill_scheduler(signal.SIGTERM)

    def pause_scheduler(self) -> None:
        process = self._chance.choice(self.schedulers)
        process.signal(signal.SIGSTOP)
        time.sleep(self._chance.uniform(0.5, 2) * LEASE)
        process.signal(signal.SIGCONT)

    def kill_child(self) -> None:
        begun = [int(what) for _, what in executions() if what != "ended"]
        for pid in [p for p in begun[-SCHEDULERS:] if alive(p)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def crash_database(self) -> None:
        assert self._server is not None
        self._server.crash()
        time.sleep(self._chance.uniform(0, LEASE))
        self._server.start_again()

    def pause_between(self) -> None:
        time.sleep(self._chance.uniform(2, 5))

    def end(self) -> None:
        for process in self.schedulers:
            process.signal(signal.SIGTERM)


def left(db: Engine) -> int:
    """How many runs have not ended."""
    with contextlib.suppress(SQLAlchemyError):  # the server is away just now
        return sum(not Status(row.status).ended for row in rows(db))
    return -1


def check(db: Engine, runs: int, data: Path) -> dict[str, Any]:
    ended = rows(db)
    twice = [name for name, n in Counter(started_runs()).items() if n > 1]
    with db.begin() as connection:
        whole = [r[0] for r in connection.execute(text("PRAGMA integrity_check"))] == ["ok"] if db.dialect.name == "sqlite" else not connection.execute(
            text("SELECT count(*) FROM measurements m LEFT JOIN runs r ON r.id = m.run_id WHERE r.id IS NULL")
        ).scalar_one()
    without_reason = [row.id for row in ended if row.status != "succeeded" and not row.reason]
    succeeded = sum(row.status == "succeeded" for row in ended)
    found = {
        "runs": len(ended), "by_status": Counter(row.status for row in ended), "reasons": Counter(row.reason for row in ended if row.reason),
        "not_ended": sum(not Status(row.status).ended for row in ended), "executed_twice": twice, "attempts": max(row.attempt for row in ended),
        "without_reason": without_reason, "measurements": count_measurements(db), "processes_left": [p.pid for p in processes_under(data)],
        "database_whole": whole,
    }  # fmt: skip
    found["kept"] = (
        len(ended) == runs and not found["not_ended"] and not twice and found["attempts"] == 1 and not without_reason and whole
        and not found["processes_left"] and found["measurements"] >= succeeded
    )  # fmt: skip
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=900)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="postgresql")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lab-chaos-") as folder:
        os.environ |= {"LAB_DATA": folder, "LAB_LOCKS": f"{folder}/locks"}
        server = PostgresServer() if options.database == "postgresql" else None
        os.environ["DATABASE_URL"] = server.new_database() if server else f"sqlite:///{folder}/lab.db"
        migrate(db := connect(settings.database_url()))
        for _ in range(options.runs // 10):  # so long that the kills last as long as the runs, with the time that both cost
            enqueue(db, f"sleep-{0.6 * options.seconds / options.runs:.2f}", rounds=10)
        began, chaos = time.monotonic(), Chaos(db, server, options.seed)
        while time.monotonic() - began < options.seconds and left(db):
            chaos.pause_between()
            chaos.strike()
        calm = time.monotonic()
        while left(db) and time.monotonic() - calm < QUIET_SECONDS + options.seconds:
            time.sleep(0.5)
        chaos.end()
        found = {"database": options.database, "seconds": round(time.monotonic() - began), "strikes": chaos.done}
        found |= check(db, options.runs // 10 * 10, Path(folder))
        db.dispose()
        if server:
            server.stop()
    print(json.dumps(found, indent=1))
    if options.out:
        options.out.write_text(json.dumps(found, indent=1))
    return 0 if found["kept"] else 1


if __name__ == "__main__":
    sys.exit(main())
