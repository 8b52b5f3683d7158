"""Who is dead is found by counters that stand still, by nothing else."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from db import liveness, queries, queue
from tests.db.conftest import CPU, end, enqueue, rows

LEASE = 10.0


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 1000.0
        monkeypatch.setattr(liveness.time, "monotonic", lambda: self.seconds)

    def watch(self, reaper: liveness.Reaper, seconds: float, beat=lambda: None) -> int:  # type: ignore[no-untyped-def]
        """Tick every second; `beat` is called before each tick."""
        failed = 0
        for _ in range(int(seconds)):
            self.seconds += 1
            beat()
            failed += reaper.tick()
        return failed


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def claim(db: Engine, owner: str = "me") -> queue.Claim:
    claimed = queue.claim(db, owner, CPU)
    assert claimed is not None
    return claimed


@pytest.mark.case("T01")
def test_a_silent_run_is_failed_with_the_reason_after_the_lease(db: Engine, clock: Clock) -> None:
    enqueue(db)
    lost, reaper = claim(db), liveness.Reaper(db, LEASE)
    assert clock.watch(reaper, LEASE) == 0
    assert clock.watch(reaper, 1) == 1
    row = rows(db)[0]
    assert (row.status, row.reason) == ("failed", "lost: no sign of life from its scheduler for 10 s")
    assert row.ended_at is not None
    assert end(db, lost) is False


def test_a_run_that_beats_lives(db: Engine, clock: Clock) -> None:
    enqueue(db)
    claimed, reaper = claim(db), liveness.Reaper(db, LEASE)
    assert clock.watch(reaper, 100, lambda: queue.beat(db, claimed, phase=None, log_tail=None)) == 0
    assert rows(db)[0].status == "running"


@pytest.mark.case("T03")
def test_who_slept_looks_again_before_judging(db: Engine, clock: Clock) -> None:
    enqueue(db)
    claimed, reaper = claim(db), liveness.Reaper(db, LEASE)
    clock.watch(reaper, 5)
    clock.seconds += 3600  # the machine of the reaper was suspended
    assert reaper.tick() == 0
    queue.beat(db, claimed, phase=None, log_tail=None)
    assert clock.watch(reaper, 9) == 0


def test_a_new_attempt_starts_with_a_fresh_lease(db: Engine, clock: Clock) -> None:
    enqueue(db, runs=2)
    first, reaper = claim(db), liveness.Reaper(db, LEASE)
    clock.watch(reaper, 8)
    end(db, first)
    claim(db)
    assert clock.watch(reaper, 8) == 0


def test_a_dead_scheduler_is_forgotten_and_may_come_back(db: Engine, clock: Clock) -> None:
    for name in ("dead", "alive"):
        liveness.announce(db, name, machine="here", pid=1, devices=[{"id": "cpu"}], availability={"cpu": {"x": None}})
    reaper = liveness.Reaper(db, LEASE)
    clock.watch(reaper, 11, lambda: liveness.beat_scheduler(db, "alive"))
    assert [s["id"] for s in queries.schedulers(db)] == ["alive"]
    assert liveness.beat_scheduler(db, "alive") is True
    assert liveness.beat_scheduler(db, "dead") is False
    liveness.retire(db, "alive")
    assert queries.schedulers(db) == []


def test_what_a_dead_scheduler_owned_fails_at_once(db: Engine) -> None:
    enqueue(db, runs=3)
    claim(db, "dead")
    claim(db, "alive")
    liveness.announce(db, "dead", machine="here", pid=1, devices=[], availability={})
    assert liveness.fail_owned(db, "dead", "the scheduler was restarted") == 1
    assert [(r.status, r.reason) for r in rows(db)] == [
        ("failed", "the scheduler was restarted"), ("running", None), ("queued", None),
    ]  # fmt: skip
    assert queries.schedulers(db) == []


@pytest.mark.case("T07")
def test_an_announcement_says_how_old_it_is(db: Engine) -> None:
    liveness.announce(db, "s", machine="here", pid=1, devices=[{"id": "cpu"}], availability={"cpu": {"x": "why"}})
    (scheduler,) = queries.schedulers(db)
    assert scheduler["devices"] == [{"id": "cpu"}] and scheduler["availability"] == {"cpu": {"x": "why"}}
    assert -1 <= scheduler["age_seconds"] <= 5
