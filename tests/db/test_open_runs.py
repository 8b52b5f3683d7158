"""What runs and waits by experiment, in the order of its turn, and that a poll stays small however long the queue is."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import Connection, Engine, event

from db import edits, open_runs, queue
from tests.db.conftest import CPU, end, enqueue


def asked(db: Engine) -> list[open_runs.OpenExperiment]:
    return open_runs.with_running(db, open_runs.open_experiments(db))


def claimed(db: Engine) -> queue.Claim:
    found = queue.claim(db, "scheduler-1", CPU)
    assert found is not None
    return found


def test_the_order_is_that_of_the_turns_and_ended_experiments_are_not_in_it(db: Engine) -> None:
    done = enqueue(db, 1)
    end(db, claimed(db))
    first, second = enqueue(db, 3, title="first"), enqueue(db, 2, title="second")
    assert [e.id for e in asked(db)] == [first, second] and done not in [e.id for e in asked(db)]
    run = claimed(db)
    queue.beat(db, run, phase="warm-up", log_tail="")
    (one, two) = asked(db)
    assert (one.title, one.counts, one.left) == ("first", {"running": 1, "queued": 2}, {"speed": 2})
    assert [(r["run_id"], r["phase"], r["scheduler"], r["device"]) for r in one.running] == [(run.run_id, "warm-up", "scheduler-1", "here/cpu")]
    assert two.running == () and two.counts == {"queued": 2}


def test_counts_name_every_end_and_the_mean_is_of_what_was_timed(db: Engine) -> None:
    enqueue(db, 5)
    end(db, claimed(db), seconds=2.0)
    end(db, claimed(db), seconds=4.0, status="out_of_memory", reason="20 GiB", measurements=[])
    end(db, claimed(db), seconds=6.0, status="failed", reason="x", measurements=[])
    (found,) = asked(db)
    assert found.counts == {"succeeded": 1, "out_of_memory": 1, "failed": 1, "queued": 2}
    assert found.seconds == {"speed": 4.0}


def test_the_token_stands_still_while_a_run_only_gives_signs_of_life(db: Engine) -> None:
    experiment = enqueue(db, 2)
    run = claimed(db)
    before = open_runs.token(db)
    queue.beat(db, run, phase="warm-up", log_tail="")
    assert open_runs.token(db) == before
    edits.change(db, [experiment], {"title": "renamed"})
    renamed = open_runs.token(db)
    assert renamed != before
    end(db, run)
    assert open_runs.token(db) != renamed


def test_what_ended_badly_is_there_with_its_first_reason_once_nothing_of_it_is_to_come(db: Engine) -> None:
    experiment = enqueue(db, 3, title="mine")
    end(db, claimed(db), status="failed", reason="the first", measurements=[])
    assert open_runs.ended_badly(db) == []
    end(db, claimed(db), status="failed", reason="the second", measurements=[])
    end(db, claimed(db))
    (found,) = open_runs.ended_badly(db)
    assert found == {"experiment_id": experiment, "title": "mine", "variant": "baseline", "status": "failed", "reason": "the first", "runs": 2}
    edits.change(db, [experiment], {"archived": True})
    assert open_runs.ended_badly(db) == []


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_poll_is_three_statements_and_takes_little_time_with_two_thousand_runs_waiting(db: Engine) -> None:
    for _ in range(20):
        enqueue(db, 100)
    run = claimed(db)
    waiting = open_runs.open_experiments(db)
    statements: list[str] = []

    def count(connection: Connection, cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(db, "before_cursor_execute", count)
    seconds = []
    for _ in range(5):
        queue.beat(db, run, phase="warm-up", log_tail="")
        statements.clear()
        start = time.thread_time()
        open_runs.token(db)
        open_runs.with_running(db, waiting)
        seconds.append(time.thread_time() - start)
    assert len([s for s in statements if s.startswith("SELECT")]) == 3
    assert min(seconds) < 0.05
    statements.clear()
    start = time.thread_time()
    assert len(open_runs.open_experiments(db)) == 20
    assert time.thread_time() - start < 0.5 and len([s for s in statements if s.startswith("SELECT")]) == 3
