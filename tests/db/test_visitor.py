"""A private experiment of somebody else is not found by any query: every answer is the one that was given before it existed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Engine

from db import audit, edits, listing, liveness, open_runs, queries, queue, saved
from db.filter import Filter
from db.records import import_record
from db.visitor import Visitor, acting, any_private, hides_any, owners
from tests.db.conftest import CPU, SPEC, end, enqueue
from tests.records import build_record

ANA, BEN, NOBODY, ADMIN = Visitor("ana", False), Visitor("ben", False), Visitor(None, False), Visitor("root", True)
ID = "private-experiment-001"
EVER = datetime(2000, 1, 1)
ALL = Filter(archived="all", size=None)

READS: dict[str, Callable[[Engine, int], Any]] = {
    "record": lambda db, run: queries.record(db, ID, samples="all"),
    "variants": lambda db, run: queries.variants(db, [ID]),
    "count_experiments": lambda db, run: queries.count_experiments(db),
    "queue": lambda db, run: queries.queue(db),
    "change_tokens": lambda db, run: queries.change_tokens(db, [ID]),
    "log_tail": lambda db, run: queries.log_tail(db, run),
    "count_samples": lambda db, run: queries.count_samples(db, ID),
    "experiments": lambda db, run: listing.experiments(db, ALL),
    "experiments by id": lambda db, run: listing.experiments(db, Filter(id=(ID,), archived="all")),
    "experiments by word": lambda db, run: listing.experiments(db, Filter(q="secret")),
    "count": lambda db, run: listing.count(db, ALL),
    "all_ids": lambda db, run: listing.all_ids(db, ALL),
    "count_variants": lambda db, run: listing.count_variants(db, ALL),
    "all_experiments": lambda db, run: list(listing.all_experiments(db, ALL)),
    "facets": lambda db, run: listing.facets(db, ALL),
    "facets of a filter": lambda db, run: listing.facets(db, Filter(owner=("ana",), status=("finished",))),
    "counts_without": lambda db, run: listing.counts_without(db, Filter(q="secret", owner=("ana",))),
    "newest": lambda db, run: listing.newest(db),
    "arrived_since": lambda db, run: listing.arrived_since(db, ALL, EVER),
    "tags": lambda db, run: listing.tags(db),
    "open_experiments": lambda db, run: open_runs.with_running(db, open_runs.open_experiments(db)),
    "ended_badly": lambda db, run: open_runs.ended_badly(db),
    "current": lambda db, run: edits.current(db, ID),
    "experiment_of": lambda db, run: queue.experiment_of(db, run),
    "owners": lambda db, run: owners(db, [ID]),
    "any_private": lambda db, run: any_private(db, [ID]),
}


def plain(answer: Any) -> Any:
    if isinstance(answer, pd.DataFrame):
        return answer.to_dict("records")
    return [plain(a) for a in answer] if isinstance(answer, list) else answer


def make_private(db: Engine) -> int:
    """Ana's: one run failed with a log, one runs, one waits; tagged. Returns the id of the first."""
    spec = SPEC | {"title": "a secret"}
    enqueue(db, runs=3, id=ID, title="a secret", spec=spec, owner="ana", private=True)
    first = queue.claim(db, "s", CPU)
    assert first is not None and end(db, first, status="failed", reason="boom")
    second = queue.claim(db, "s", CPU)
    assert second is not None
    edits.add_tags(db, [ID], ["hushed"])
    return first.run_id


@pytest.fixture
def public(db: Engine) -> str:
    """Ben's, which everybody sees: it has ended, and so does not stand in the queue before the other."""
    found = enqueue(db, title="public", owner="ben")
    claim = queue.claim(db, "s", CPU)
    assert claim is not None and end(db, claim)
    liveness.announce(db, "s", machine="here", pid=1, devices=[], availability={})
    return found


@pytest.mark.parametrize("who", [BEN, NOBODY], ids=["another", "nobody"])
def test_to_others_it_is_as_if_it_did_not_exist(db: Engine, public: str, who: Visitor) -> None:
    theirs = acting(db, who)
    before = {name: plain(read(theirs, 2)) for name, read in READS.items()}
    run = make_private(db)
    assert run == 2, "the id that was asked for before it was given"
    assert {name: plain(read(theirs, run)) for name, read in READS.items()} == before
    assert hides_any(theirs)


@pytest.mark.parametrize("who", [ANA, ADMIN], ids=["owner", "admin"])
def test_its_owner_and_admins_find_it_by_every_query(db: Engine, public: str, who: Visitor) -> None:
    theirs = acting(db, who)
    before = {name: plain(read(theirs, 2)) for name, read in READS.items()}
    run = make_private(db)
    after = {name: plain(read(theirs, run)) for name, read in READS.items()}
    assert [name for name in READS if after[name] == before[name]] == ["ended_badly"], "it still has runs to come"
    assert not hides_any(theirs)


def test_others_cannot_change_it(db: Engine) -> None:
    run = make_private(db)
    ben = acting(db, BEN)
    before = edits.current(db, ID), queries.change_tokens(db, [ID])
    assert edits.change(ben, [ID], {"title": "mine"}) == 0
    assert edits.add_tags(ben, [ID], ["mine"]) == edits.remove_tags(ben, [ID], ["hushed"]) == 0
    assert queue.cancel_experiment(ben, ID) == 0 and not queue.cancel_run(ben, run + 1) and not queue.delete_experiment(ben, ID)
    assert (edits.current(db, ID), queries.change_tokens(db, [ID])) == before
    assert audit.acts(db, 10) == ([], 0)


def test_what_somebody_does_is_kept_with_their_name_and_outlives_it(db: Engine) -> None:
    ana = acting(db, ANA)
    name = enqueue(ana, title="mine", owner="ana")
    edits.change(ana, [name], {"title": "mine still"})
    edits.change(ana, [name], {"archived": True})
    edits.change(ana, [name], {"archived": False})
    edits.change(ana, [name], {"private": True})
    edits.add_tags(ana, [name, "nothing"], ["a"])
    queue.cancel_experiment(ana, name)
    queue.cancel_experiment(ana, name)  # nothing is left to cancel: nothing was done
    saved.save_view(ana, "v", name="a view", page="experiments", params={}, variants=0, owner="ana")
    saved.delete_view(ana, "v", "ana")
    saved.delete_view(ana, "v", "ana")
    queue.delete_experiment(acting(db, NOBODY), name)  # hidden
    queue.delete_experiment(acting(db, ADMIN), name)
    acts, total = audit.acts(db, 100)
    assert [(a["who"], a["action"], a["subject"]) for a in reversed(acts)] == [
        ("ana", "started", "mine"), ("ana", "renamed", "mine still"), ("ana", "archived", "mine still"), ("ana", "unarchived", "mine still"),
        ("ana", "made private", "mine still"), ("ana", "tagged", "mine still"), ("ana", "cancelled", "mine still"),
        ("ana", "saved a view", "a view"), ("ana", "deleted a view", "a view"), ("root", "deleted", "mine still"),
    ]  # fmt: skip
    assert total == 10 and {a["subject_id"] for a in acts} == {name, "v"}
    assert audit.acts(db, 2, offset=1)[0] == acts[1:3]


def test_an_act_that_does_not_happen_is_not_recorded(db: Engine) -> None:
    ana = acting(db, ANA)
    name = enqueue(ana)
    assert queue.claim(db, "s", CPU) is not None
    with pytest.raises(ValueError, match="in progress"):
        queue.delete_experiment(ana, name)
    assert [a["action"] for a in audit.acts(db, 10)[0]] == ["started"]


def test_whom_no_visitor_stands_behind_sees_all_and_leaves_no_trail(db: Engine) -> None:
    make_private(db)
    assert queries.record(db, ID) is not None and audit.acts(db, 10) == ([], 0)


def test_a_file_that_somebody_keeps_private_is_refused_with_the_reason(db: Engine) -> None:
    record = build_record({"float32": {"weight_bytes": [1.0, 1.0]}}, experiment_id=ID)
    ana = acting(db, ANA)
    assert import_record(ana, record, "imported") == ID
    edits.change(ana, [ID], {"private": True})
    with pytest.raises(ValueError, match=f"file: {ID} is here already: somebody keeps it private"):
        import_record(acting(db, BEN), record, "imported")
