"""Lists as a Filter wants them: the right rows, facets that count without their own filter, few statements whatever the number of rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event, update

from db import edits, listing, queue
from db.experiments import insert_experiment
from db.filter import FACETS, SORTS, STATES, Filter, conditions
from db.tables import Experiment
from tests.db.conftest import CPU, SPEC, end, enqueue

ALL = Filter(archived="all")


def add(db: Engine, name: str, *techniques: str, model: str = "smollm2-135m", day: int = 1, **columns: Any) -> str:
    """An experiment without runs; created and stored on a day of January 2026."""
    spec = SPEC | {"model": {"source": "bundled", "name": model}}
    moment = datetime(2026, 1, day, 12)
    row = {"id": name, "title": name, "spec": spec, "source": "local", "device": "cpu", "request_key": name, "created_at": moment, "stored_at": moment}
    variants = [{"name": t, "stack": [{"technique": t, "options": {}}], "baseline": i == 0} for i, t in enumerate(techniques)]
    with db.begin() as connection:
        insert_experiment(connection, row | columns, variants or [{"name": "baseline", "stack": [], "baseline": True}])
    return name


@pytest.fixture
def four(db: Engine) -> None:
    add(db, "one", "bnb_int8", "sdpa", day=1, owner="ada", hardware="NVIDIA H200")
    add(db, "two", "bnb_int8", day=2, owner="ada", source="imported")
    add(db, "three", "sdpa", model="gpt2", day=3, note="Why 100%? see two")
    add(db, "four", model="gpt2", day=4, archived=True, owner="grace")
    edits.add_tags(db, ["one", "four"], ["paper"])
    edits.add_tags(db, ["one"], ["weekly"])


def ids(db: Engine, wanted: Filter) -> list[str]:
    return list(listing.experiments(db, wanted)["id"])


@pytest.mark.parametrize(("wanted", "expected"), [
    ({}, ["three", "two", "one"]),
    ({"archived": "all"}, ["four", "three", "two", "one"]),
    ({"archived": "yes"}, ["four"]),
    ({"q": "THR"}, ["three"]),
    ({"q": "gpt2 see"}, ["three"]),
    ({"q": "gpt2 nowhere"}, []),
    ({"q": "100%"}, ["three"]),
    ({"q": "o%e"}, []),
    ({"q": "_ne"}, []),
    ({"q": "' OR 1=1 --"}, []),
    ({"model": ("gpt2", "unknown")}, ["three"]),
    ({"technique": ("sdpa",)}, ["three", "one"]),
    ({"technique": ("sdpa", "bnb_int8"), "tag": ("paper",)}, ["one"]),
    ({"device": ("NVIDIA H200",)}, ["one"]),
    ({"device": ("cpu",)}, ["three", "two"]),
    ({"owner": ("ada",), "source": ("local",)}, ["one"]),
    ({"id": ("two", "four")}, ["two"]),
    ({"first": date(2026, 1, 2)}, ["three", "two"]),
    ({"last": date(2026, 1, 2)}, ["two", "one"]),
    ({"first": date(2026, 1, 2), "last": date(2026, 1, 2)}, ["two"]),
    ({"known_until": datetime(2026, 1, 2, 12)}, ["two", "one"]),
    ({"workload": ("generation",), "page": 2, "size": 2}, ["one"]),
    ({"sort": "title", "descending": False}, ["one", "three", "two"]),
    ({"sort": "owner", "descending": True}, ["two", "one", "three"]),
    ({"sort": "owner", "descending": False, "archived": "all"}, ["two", "one", "four", "three"]),
])  # fmt: skip
def test_rows_are_those_that_match_in_their_order(db: Engine, four: None, wanted: dict[str, Any], expected: list[str]) -> None:
    assert ids(db, Filter(**wanted)) == expected


def test_every_sort_key_orders_and_every_facet_filters(db: Engine, four: None) -> None:
    for key in SORTS:
        assert sorted(ids(db, Filter(sort=key))) == ["one", "three", "two"]
    for facet in FACETS:
        assert ids(db, replace(Filter(), **{facet: ("nothing of this name",)})) == []


def test_a_row_has_all_that_a_list_shows(db: Engine, four: None) -> None:
    (row,) = listing.experiments(db, Filter(id=("one",))).to_dict("records")
    assert row["techniques"] == ("bnb_int8", "sdpa") and row["tags"] == ("paper", "weekly")
    assert (row["model"], row["workload"], row["device"], row["hardware"]) == ("smollm2-135m", "generation", "cpu", "NVIDIA H200")
    assert (row["owner"], row["archived"], row["variants"], row["runs"], row["succeeded"]) == ("ada", False, 2, 0, 0)


def test_facets_count_without_their_own_filter(db: Engine, four: None) -> None:
    found = listing.facets(db, Filter(model=("gpt2",)))
    assert found.total == 1
    assert found.counts["model"] == {"smollm2-135m": 2, "gpt2": 1}, "what another choice of model would give"
    assert found.counts["technique"] == {"sdpa": 1}, "the others count with the filter on"
    assert found.counts["archived"] == {"no": 1, "yes": 1}
    found = listing.facets(db, replace(ALL, tag=("paper",), owner=("ada",)))
    assert found.total == 1
    assert found.counts["tag"] == {"paper": 1, "weekly": 1}
    assert found.counts["owner"] == {"ada": 1, "grace": 1}
    assert found.counts["device"] == {"NVIDIA H200": 1} and found.counts["workload"] == {"generation": 1}


def test_each_count_is_the_number_of_rows_that_one_gets(db: Engine, four: None) -> None:
    base = Filter(technique=("sdpa", "bnb_int8"), archived="all")
    counts = listing.facets(db, base).counts
    for facet in FACETS:
        for value, number in counts[facet].items():
            assert len(ids(db, replace(base, **{facet: (value,)}))) == number, (facet, value)


def test_states_of_experiments(db: Engine) -> None:
    def run(experiment: str, status: str) -> None:
        claimed = queue.claim(db, "me", CPU)
        assert claimed is not None and claimed.experiment_id == experiment
        end(db, claimed, status=status)

    done = enqueue(db, runs=2)
    run(done, "succeeded")
    run(done, "out_of_memory")
    going = enqueue(db, runs=3)
    run(going, "failed")
    assert queue.claim(db, "me", CPU) is not None
    waiting = enqueue(db, runs=2)
    expected = {"running": [going], "queued": [waiting], "finished": [done], "out_of_memory": [done], "failed": [going]}
    for state in STATES:
        assert ids(db, Filter(status=(state,))) == expected.get(state, []), state
    assert set(ids(db, Filter(status=("running", "finished")))) == {going, done}
    assert listing.facets(db, Filter(status=("queued",))).counts["status"] == {s: len(found) for s, found in expected.items()}


def test_what_a_filter_takes_away_is_counted(db: Engine, four: None) -> None:
    wanted = Filter(model=("gpt2",), owner=("ada",), q="t")
    assert listing.facets(db, wanted).total == 0
    assert listing.counts_without(db, wanted) == {"model": 1, "owner": 1, "q": 0, "archived": 0}
    assert listing.counts_without(db, Filter(archived="all")) == {}


def test_a_list_that_is_looked_at_does_not_move(db: Engine, four: None) -> None:
    moment = listing.newest(db)
    assert moment == datetime(2026, 1, 4, 12)
    seen = Filter(known_until=moment)
    before = ids(db, seen)
    add(db, "five", day=5)
    add(db, "old", day=1, stored_at=moment + timedelta(seconds=1))  # an import: made before, arrived later
    add(db, "other", day=6, model="gpt2", archived=True)
    assert ids(db, seen) == before and listing.facets(db, seen).total == 3
    assert listing.arrived_since(db, seen, moment) == 2
    assert ids(db, Filter())[0] == "five"


def test_an_empty_database(db: Engine) -> None:
    assert listing.experiments(db, Filter()).columns.tolist() == list(listing.COLUMNS)
    assert listing.facets(db, Filter()).total == 0 and listing.newest(db) is None
    assert list(listing.all_experiments(db, Filter())) == [] and listing.measured_values(db, [], []) == []


def test_all_pages_come_in_order_and_in_parts(db: Engine, four: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "AT_ONCE", 2)
    frames = list(listing.all_experiments(db, Filter(archived="all", page=2, size=1)))
    assert [list(f["id"]) for f in frames] == [["four", "three"], ["two", "one"]]


@contextmanager
def statements(db: Engine) -> Iterator[list[str]]:
    found: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        found.append(statement)

    event.listen(db, "before_cursor_execute", note)
    yield found
    event.remove(db, "before_cursor_execute", note)


@pytest.mark.case("T41")
def test_the_number_of_statements_does_not_grow_and_none_reads_what_is_large(db: Engine) -> None:
    everything = Filter(q="t", status=("finished", "queued"), model=("smollm2-135m",), technique=("x",), tag=("t",), archived="all",
                        first=date(2020, 1, 1))  # fmt: skip
    counts = []
    for _ in range(2):
        with statements(db) as found:
            for wanted in (Filter(), everything):
                listing.facets(db, wanted)
                rows = listing.experiments(db, wanted)
                listing.measured_values(db, list(rows["id"]), ["ttft_seconds"])
        assert not [s for s in found for large in ("samples", "warmups", "log_tail", "evidence", "spec", "facts") if f".{large}" in s]
        counts.append(len([s for s in found if s.lstrip().upper().startswith(("SELECT", "WITH"))]))
        for _ in range(30):
            enqueue(db, runs=3)
    assert counts == [16, 16]


def test_measured_values_name_what_disturbed_a_run(db: Engine) -> None:
    experiment = enqueue(db, runs=3)
    for details in ({}, {"contended": "2 other processes"}, {"throttled": None}):
        claimed = queue.claim(db, "me", CPU)
        assert claimed is not None and end(db, claimed, details=details)
    rows = listing.measured_values(db, [experiment], ["ttft_seconds", "other"])
    assert [(r.variant, r.position, r.baseline, r.metric, r.value, r.contended, r.throttled) for r in rows] == [
        ("baseline", 0, True, "ttft_seconds", 0.5, contended, None) for contended in (None, "2 other processes", None)
    ]
    assert listing.measured_values(db, [experiment], ["other"]) == []


def test_conditions_name_their_filters(db: Engine) -> None:
    assert list(conditions(Filter())) == ["archived"] and conditions(ALL) == {}
    with db.begin() as connection:
        connection.execute(update(Experiment).values(archived=True))
    assert listing.facets(db, Filter()).total == 0
