"""Reads: tidy, ordered, without raw samples unless asked, and tokens that change when and only when they should."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, event

from db import listing, queries, queue
from db.experiments import model_name
from db.filter import Filter
from db.records import import_record
from engine.modelspec import ModelSpec
from tests.db.conftest import CPU, end, enqueue
from tests.records import build_record


def claim(db: Engine) -> queue.Claim:
    claimed = queue.claim(db, "me", CPU)
    assert claimed is not None
    return claimed


def test_a_record_that_is_not_there_is_none(db: Engine) -> None:
    assert queries.record(db, "' OR 1=1 --") is None


def test_samples_are_loaded_only_where_asked(db: Engine) -> None:
    experiment = enqueue(db)
    end(db, claim(db))

    def samples(which: Any) -> list[float]:
        record = queries.record(db, experiment, samples=which)
        assert record is not None
        (m,) = record["runs"][0]["measurements"]
        assert m["n_samples"] == 3
        return list(m["samples"])

    assert samples("all") == [0.4, 0.5, 0.6]
    assert samples("none") == [] and samples("quality") == []  # its only run is a speed run


@pytest.mark.parametrize("read", [
    lambda db, _: listing.experiments(db, Filter()), lambda db, _: queries.queue(db), lambda db, e: queries.record(db, e, samples="none"),
    lambda db, _: queries.change_token(db), lambda db, e: queries.change_token(db, e),
])  # fmt: skip
@pytest.mark.case("T41")
def test_lists_never_read_samples_or_logs(db: Engine, read: Callable[[Engine, str], Any]) -> None:
    experiment = enqueue(db, runs=2)
    end(db, claim(db))
    statements: list[str] = []
    event.listen(db, "before_cursor_execute", lambda c, cursor, statement, *_: statements.append(statement))
    read(db, experiment)
    assert statements
    assert not [s for s in statements if "measurements.samples" in s or "log_tail" in s]


def test_experiments_come_newest_first_with_their_counts(db: Engine) -> None:
    old, new = enqueue(db, runs=3), enqueue(db)
    end(db, claim(db))
    queue.cancel_experiment(db, new)
    frame = listing.experiments(db, Filter()).set_index("id")
    assert set(frame.index) == {old, new}
    assert frame.loc[old, ["runs", "queued", "succeeded", "cancelled"]].tolist() == [3, 2, 1, 0]
    assert frame.loc[new, ["runs", "cancelled"]].tolist() == [1, 1]
    assert frame.loc[old, ["model", "workload", "device"]].tolist() == ["smollm2-135m", "generation", "here/cpu"]
    assert len(listing.experiments(db, Filter(size=1))) == 1
    assert set(listing.experiments(db, Filter(size=1)).id) | set(listing.experiments(db, Filter(size=1, page=2)).id) == {old, new}
    assert queries.count_experiments(db) == 2


def test_empty_lists_keep_their_columns(db: Engine) -> None:
    assert listing.experiments(db, Filter()).empty and "succeeded" in listing.experiments(db, Filter())
    assert queries.queue(db).empty and "phase" in queries.queue(db)


def test_the_queue_shows_what_runs_before_what_waits(db: Engine) -> None:
    enqueue(db, device="cuda")
    enqueue(db, runs=2)
    queue.beat(db, claim(db), phase="loading", log_tail=None)
    frame = queries.queue(db)
    assert frame.status.tolist() == ["running", "queued", "queued"]
    assert frame.device.tolist() == ["here/cpu", "cuda", "here/cpu"]
    assert frame.phase[0] == "loading"


def test_the_queue_token_changes_with_every_event(db: Engine) -> None:
    tokens = [queries.change_token(db)]

    def changed() -> bool:
        tokens.append(queries.change_token(db))
        return tokens[-1] not in tokens[:-1] and queries.change_token(db) == tokens[-1]

    experiment = enqueue(db, runs=3)
    assert changed()
    first = claim(db)
    assert changed()
    queue.beat(db, first, phase="x", log_tail=None)
    assert changed()
    end(db, first)
    second = claim(db)
    assert changed()
    end(db, second)
    assert changed()
    queue.cancel_experiment(db, experiment)
    assert changed()
    queue.delete_experiment(db, experiment)
    assert queries.change_token(db) == tokens[0]


def test_the_token_of_an_experiment_ignores_beats_and_others(db: Engine) -> None:
    experiment = enqueue(db)
    before = queries.change_token(db, experiment)
    enqueue(db)
    assert queries.change_token(db, experiment) == before
    claimed = claim(db)
    running = queries.change_token(db, experiment)
    assert running != before
    queue.beat(db, claimed, phase="x", log_tail=None)
    assert queries.change_token(db, experiment) == running
    end(db, claimed)
    assert queries.change_token(db, experiment) != running


def test_a_record_stored_again_with_other_content_is_seen(db: Engine) -> None:
    """Deleted and imported anew: the same experiment id, the same counts, and on SQLite the same row ids."""
    tokens = []
    for seconds in (10.0, 11.0):
        record = build_record({"base": {"ttft_seconds": [1.0]}}, runs={("base", 0): {"seconds": seconds}})
        experiment = import_record(db, record, "imported")
        tokens.append(queries.change_token(db, experiment))
        queue.delete_experiment(db, experiment)
    assert tokens[0] != tokens[1]


def test_logs_are_read_one_by_one(db: Engine) -> None:
    enqueue(db)
    claimed = claim(db)
    assert queries.log_tail(db, claimed.run_id) == ""
    queue.beat(db, claimed, phase=None, log_tail="line")
    assert queries.log_tail(db, claimed.run_id) == "line"
    assert queries.log_tail(db, 10**6) == ""


@pytest.mark.parametrize("text", ["smollm2-135m", "llama-7b", "local:mine", f"hub:org/name@{'0' * 40}"])
def test_models_are_named_as_people_write_them(text: str) -> None:
    assert model_name({"model": ModelSpec.model_validate(text).model_dump()}) == text


def test_tokens_of_many_experiments_are_those_of_each(db: Engine) -> None:
    experiment = enqueue(db)
    assert queries.change_tokens(db, [experiment, "not-there"]) == {
        experiment: queries.change_token(db, experiment), "not-there": queries.change_token(db, "not-there"),
    }  # fmt: skip
    assert queries.change_token(db, experiment) != queries.change_token(db, "not-there")
