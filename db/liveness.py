"""Who is alive: schedulers announce themselves and count up; a run or scheduler whose counter stands still is lost.

Compares no clocks: whoever watches uses its own monotonic one.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterable
from typing import Any, cast

from sqlalchemy import CursorResult, Engine, and_, delete, insert, select, update

from db.session import now
from db.tables import Run, Scheduler, utc_now


def announce(
    db: Engine, scheduler_id: str, *, machine: str, pid: int, devices: list[Any], availability: dict[str, Any]
) -> None:
    """Publish a scheduler with its devices and what each technique needs there; in place of an earlier announcement."""
    row = {"machine": machine, "pid": pid, "devices": devices, "availability": availability, "beat": 0, "seen_at": now(db)}
    with db.begin() as connection:
        connection.execute(delete(Scheduler).where(Scheduler.id == scheduler_id))
        connection.execute(insert(Scheduler).values(id=scheduler_id, **row))


def beat_scheduler(db: Engine, scheduler_id: str) -> bool:
    """Count up. False if somebody took us for dead: announce again."""
    sign = update(Scheduler).where(Scheduler.id == scheduler_id).values(beat=Scheduler.beat + 1, seen_at=now(db))
    with db.begin() as connection:
        return cast("CursorResult[Any]", connection.execute(sign)).rowcount == 1


def retire(db: Engine, scheduler_id: str) -> None:
    """Take the announcement back."""
    with db.begin() as connection:
        connection.execute(delete(Scheduler).where(Scheduler.id == scheduler_id))


def fail_owned(db: Engine, owner: str, reason: str) -> int:
    """Fail what a scheduler that is surely dead left running, and take back its announcement. Returns how many runs."""
    end = {"status": "failed", "reason": reason, "ended_at": utc_now(), "phase": None}
    with db.begin() as connection:
        connection.execute(delete(Scheduler).where(Scheduler.id == owner))
        lost = update(Run).where(Run.owner == owner, Run.status == "running").values(end)
        return cast("CursorResult[Any]", connection.execute(lost)).rowcount


class Reaper:
    """Fails runs whose counter has not moved for `lease` seconds of our own clock, and forgets such schedulers."""

    def __init__(self, db: Engine, lease: float) -> None:
        self._db, self._lease = db, lease
        self._seen: dict[Hashable, tuple[int, float]] = {}
        self._last = time.monotonic()

    def tick(self) -> int:
        """Look once; call it about every second. Returns how many runs were failed."""
        # a write transaction: nobody is declared dead while nobody can write
        with self._db.begin() as connection:
            runs = connection.execute(select(Run.id, Run.attempt, Run.beat).where(Run.status == "running")).all()
            schedulers = connection.execute(select(Scheduler.id, Scheduler.beat)).all()
            beats: dict[Hashable, int] = {(r.id, r.attempt): r.beat for r in runs} | {s.id: s.beat for s in schedulers}
            silent = set(self._silent(beats))
            for scheduler in schedulers:
                if scheduler.id in silent:
                    still = and_(Scheduler.id == scheduler.id, Scheduler.beat == scheduler.beat)
                    connection.execute(delete(Scheduler).where(still))
            failed = 0
            for run in runs:
                if (run.id, run.attempt) in silent:
                    still = and_(Run.id == run.id, Run.attempt == run.attempt, Run.beat == run.beat, Run.status == "running")
                    reason = f"lost: no sign of life from its scheduler for {self._lease:g} s"
                    end = {"status": "failed", "reason": reason, "ended_at": utc_now(), "phase": None}
                    failed += cast("CursorResult[Any]", connection.execute(update(Run).where(still).values(end))).rowcount
            return failed

    def _silent(self, beats: dict[Hashable, int]) -> Iterable[Hashable]:
        now = time.monotonic()
        if now - self._last > self._lease / 2:  # it was us who slept: others may have beaten meanwhile
            self._seen.clear()
        self._last = now
        before, self._seen = self._seen, {}
        for who, count in beats.items():
            known = before.get(who)
            self._seen[who] = known if known is not None and known[0] == count else (count, now)
        return [who for who, (_, since) in self._seen.items() if now - since >= self._lease]
