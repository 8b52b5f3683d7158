"""The queue: nothing is handed out twice, nothing is written by somebody who lost it, a double click counts once."""

from __future__ import annotations

import multiprocessing
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError, StatementError

from db import queries, queue
from db.session import connect
from tests.db.conftest import CPU, SPEC, end, enqueue, rows


def test_runs_are_claimed_in_order_and_bind_their_experiment(db: Engine) -> None:
    first, second = enqueue(db, runs=2), enqueue(db)
    claims = [queue.claim(db, "me", CPU) for _ in range(4)]
    assert [c and (c.experiment_id, c.round) for c in claims] == [(first, 0), (first, 1), (second, 0), None]
    claimed = claims[0]
    assert claimed is not None
    assert (claimed.attempt, claimed.kind, claimed.variant, claimed.device_key) == (1, "speed", 0, "here/cpu")
    record = queries.record(db, first)
    assert record is not None and record["experiment"]["bound_device"] == "here/cpu"


def test_a_device_gets_only_what_it_can_run(db: Engine) -> None:
    enqueue(db, device="cuda")
    named = enqueue(db, device="there/cpu")
    assert queue.claim(db, "me", CPU) is None
    there = queue.claim(db, "me", queue.Offer("there/cpu", ("cpu", "there/cpu")))
    assert there is not None and there.experiment_id == named


def test_has_work_says_what_a_claim_would_find_and_takes_nothing(db: Engine) -> None:
    there = queue.Offer("there/cpu", ("cpu", "there/cpu"))
    assert not queue.has_work(db, CPU)
    enqueue(db, device="cuda")
    assert not queue.has_work(db, CPU)
    enqueue(db, runs=2)
    assert queue.has_work(db, CPU) and queue.has_work(db, CPU) and queue.has_work(db, there)
    assert queue.claim(db, "me", CPU) is not None
    assert queue.has_work(db, CPU) and not queue.has_work(db, there), "it is bound to the first device now"
    assert queue.claim(db, "me", CPU) is not None
    assert not queue.has_work(db, CPU)


def test_all_runs_of_an_experiment_stay_on_one_device(db: Engine) -> None:
    enqueue(db, runs=2)
    assert queue.claim(db, "me", CPU) is not None
    assert queue.claim(db, "you", queue.Offer("there/cpu", ("cpu", "there/cpu"))) is None
    assert queue.claim(db, "me", CPU) is not None


def _claim_all(url: str, owner: str, device: str, answers: list[tuple[int, str]]) -> None:
    db = connect(url)
    offer, misses = queue.Offer(device, ("cpu",)), 0
    while misses < 3:  # a device that loses a race for an unbound experiment gets nothing once
        claimed = queue.claim(db, owner, offer)
        if claimed is None:
            misses += 1
            continue
        answers.append((claimed.run_id, device))
    db.dispose()


@pytest.mark.case("T05")
def test_processes_that_claim_at_once_never_share_a_run(db: Engine, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    experiments = [enqueue(db, runs=8) for _ in range(5)]
    # a spawned process runs its parent's main file again; pages that were tested in this process have left theirs there
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)
    with multiprocessing.get_context("spawn").Manager() as manager:
        answers = manager.list()
        processes = [
            multiprocessing.get_context("spawn").Process(target=_claim_all, args=(url, f"s{i}", f"m{i % 2}/cpu", answers))
            for i in range(4)
        ]
        for p in processes:
            p.start()
        for p in processes:
            p.join(60)
        claimed = list(answers)
    twice = [run for run, n in Counter(run for run, _ in claimed).items() if n > 1]
    assert twice == []
    assert len(claimed) == 40
    by_experiment = {row.experiment_id: set() for row in rows(db)}
    for row in rows(db):
        by_experiment[row.experiment_id].add(row.device)
    assert set(by_experiment) == set(experiments)
    assert all(len(devices) == 1 for devices in by_experiment.values())


@pytest.mark.case("T06")
def test_the_same_request_counts_once_even_at_the_same_time(db: Engine) -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(lambda _: enqueue(db, runs=3, request_key="click"), range(16)))
    assert len(ids) == 1
    assert len(rows(db)) == 3


@pytest.mark.case("T06")
def test_fifty_forms_that_are_each_clicked_twice_are_fifty_experiments(db: Engine) -> None:
    with ThreadPoolExecutor(16) as pool:
        ids = list(pool.map(lambda form: enqueue(db, request_key=f"form-{form}"), [*range(50)] * 2))
    assert ids[:50] == ids[50:] and len(set(ids)) == 50
    assert len(rows(db)) == 50


@pytest.mark.case("T37")
def test_an_experiment_is_stored_whole_or_not_at_all(db: Engine) -> None:
    with pytest.raises(IntegrityError):
        enqueue(db, title=None)
    with pytest.raises((StatementError, ValueError), match="not JSON compliant"):
        enqueue(db, spec=SPEC | {"x": float("nan")})
    assert queries.count_experiments(db) == 0 and rows(db) == []


def test_beats_carry_the_phase_and_bring_the_cancel_flag(db: Engine) -> None:
    experiment = enqueue(db)
    claimed = queue.claim(db, "me", CPU)
    assert claimed is not None
    assert queue.beat(db, claimed, phase="warm-up " * 100, log_tail="hello") is False
    row = rows(db)[0]
    assert (row.beat, len(row.phase), row.log_tail) == (1, queue.PHASE_CHARACTERS, "hello")
    assert queue.cancel_experiment(db, experiment) == 1
    assert queue.beat(db, claimed, phase=None, log_tail=None) is True


def test_a_finished_run_has_its_outcome(db: Engine) -> None:
    experiment = enqueue(db)
    claimed = queue.claim(db, "me", CPU)
    assert claimed is not None and end(db, claimed)
    record = queries.record(db, experiment, samples="all")
    assert record is not None
    (run,) = record["runs"]
    assert (run["status"], run["seconds"], run["host_peak_bytes"], run["log_tail"]) == ("succeeded", 1.5, 2**33, "the end")
    assert record["environments"][run["environment"]] == {"cpu": "x"}
    (m,) = run["measurements"]
    assert (m["value"], m["samples"], m["warmups"], m["n_samples"]) == (0.5, [0.4, 0.5, 0.6], [1.0], 3)


@pytest.mark.case("T03")
def test_who_lost_a_run_cannot_write_it(db: Engine) -> None:
    enqueue(db)
    claimed = queue.claim(db, "me", CPU)
    assert claimed is not None and end(db, claimed, status="failed", reason="lost")
    assert queue.beat(db, claimed, phase="late", log_tail=None) is None
    assert end(db, claimed) is False
    row = rows(db)[0]
    assert (row.status, row.reason, row.phase) == ("failed", "lost", None)


@pytest.mark.case("T37")
def test_a_result_that_cannot_be_stored_leaves_the_run_as_it_was(db: Engine) -> None:
    enqueue(db)
    claimed = queue.claim(db, "me", CPU)
    assert claimed is not None
    with pytest.raises((StatementError, ValueError), match="not JSON compliant"):
        end(db, claimed, details={"x": float("inf")})
    assert rows(db)[0].status == "running"
    assert end(db, claimed)


@pytest.mark.case("T09")
def test_cancel_ends_what_is_queued_and_asks_what_is_running(db: Engine) -> None:
    experiment = enqueue(db, runs=3)
    claimed = queue.claim(db, "me", CPU)
    assert claimed is not None
    assert queue.cancel_experiment(db, experiment) == 3
    assert [(r.status, r.cancel) for r in rows(db)] == [("running", True), ("cancelled", False), ("cancelled", False)]
    assert queue.claim(db, "me", CPU) is None
    assert end(db, claimed, status="cancelled", reason="cancelled on request")
    assert queue.cancel_experiment(db, experiment) == 0
    assert queue.cancel_run(db, claimed.run_id) is False


def test_dropping_rounds_takes_what_is_queued_from_there_on(db: Engine) -> None:
    experiment, other = enqueue(db, runs=4), enqueue(db, runs=4)
    claims = [queue.claim(db, "me", CPU) for _ in range(2)]
    assert claims[0] is not None and end(db, claims[0])
    before = queries.change_token(db, experiment)
    assert queue.drop_rounds(db, experiment, 1) == 2, "round 1 is running, rounds 2 and 3 are queued"
    assert [(r.experiment_id, r.round, r.status) for r in rows(db)] == [
        (experiment, 0, "succeeded"), (experiment, 1, "running"), *((other, r, "queued") for r in range(4)),
    ]  # fmt: skip
    assert queries.change_token(db, experiment) != before, "pages see that there is less to come"
    assert queue.drop_rounds(db, experiment, 1) == 0


def test_deleting_takes_everything_but_not_what_is_running(db: Engine) -> None:
    experiment, other = enqueue(db, runs=2), enqueue(db)
    claimed = queue.claim(db, "me", CPU)
    assert claimed is not None
    with pytest.raises(ValueError, match="a run in progress; cancel it"):
        queue.delete_experiment(db, experiment)
    assert [r.status for r in rows(db)] == ["running", "queued", "queued"]
    end(db, claimed)
    assert queue.delete_experiment(db, experiment) is True
    assert [r.experiment_id for r in rows(db)] == [other]
    assert queue.delete_experiment(db, experiment) is False
