"""The filter grammar: what is written is read back, and nothing that an address says does harm or is dropped without a word."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.browse.address import (
    COLUMNS,
    GRAMMAR,
    MOST_CHOSEN,
    NAMES,
    USUAL_COLUMNS,
    View,
    active,
    read,
    read_view,
    without,
    write,
    write_view,
)
from db.filter import ARCHIVE, FACETS, SORTS, SOURCES, STATES, Filter

printable = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=40)
some = st.lists(printable, max_size=4, unique=True).map(tuple)
ids = st.lists(st.from_regex(r"[A-Za-z0-9_-]{1,32}", fullmatch=True), max_size=4, unique=True).map(tuple)
filters = st.builds(
    Filter, q=printable | st.just("two words"), id=ids, status=st.lists(st.sampled_from(STATES), unique=True).map(tuple), model=some, technique=some,
    workload=some, device=some, tag=some, owner=some, source=st.lists(st.sampled_from(SOURCES), unique=True).map(tuple),
    first=st.none() | st.dates(date(1970, 1, 1), date(2026, 1, 1)), last=st.none() | st.dates(date(2026, 1, 2), date(2999, 12, 31)),
    archived=st.sampled_from(ARCHIVE), sort=st.sampled_from(SORTS), descending=st.booleans(), page=st.integers(1, 10**6), size=st.integers(1, 500),
    known_until=st.none(),
)  # fmt: skip
views = st.builds(
    View, filter=filters, columns=st.lists(st.sampled_from(COLUMNS), unique=True).map(tuple), chosen=ids,
    more=st.lists(st.sampled_from(FACETS), unique=True).map(tuple),
)  # fmt: skip


def params(said: dict[str, str]) -> dict[str, list[str]]:
    return {name: [value] for name, value in said.items()}


@given(filters)
def test_a_filter_is_read_back(wanted: Filter) -> None:
    assert read(params(write(wanted))) == (wanted, [])


def test_values_may_stand_in_one_parameter_or_in_several() -> None:
    wanted = Filter(model=("a", "b,c", "50%", "%2C"))
    assert write(wanted) == {"model": "a,b%2Cc,50%25,%252C"} and read(params(write(wanted))) == (wanted, [])
    assert read({"model": ["a", "b%2Cc", "50%", "%252C"]}) == (wanted, [])


@given(views)
def test_a_view_is_read_back(view: View) -> None:
    said = write_view(view)
    assert read_view(params(said)) == (view, [])
    assert set(said) <= set(NAMES)


@given(st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=20), st.lists(st.text(max_size=60), max_size=3)))
def test_anything_is_read_and_what_comes_of_it_can_be_written(anything: dict[str, list[str]]) -> None:
    view, _ = read_view(anything)
    assert read_view(params(write_view(view))) == (view, [])


def test_the_usual_view_says_nothing() -> None:
    assert write_view(View()) == {} and read_view({}) == (View(), [])


@pytest.mark.parametrize(("bad", "field", "text"), [
    ({"modle": ["x"]}, "modle", "there is no such parameter"),
    ({"status": ["finished", "xyz"]}, "status", "'xyz' is not known; choose from running, queued, finished"),
    ({"source": ["moon"]}, "source", "'moon' is not known; choose from local, reference, imported"),
    ({"archived": ["maybe"]}, "archived", "'maybe' is not known; choose from no, yes, all"),
    ({"sort": ["--created"]}, "sort", "'--created' is not known; choose from created, -created"),
    ({"from": ["yesterday"]}, "from", "'yesterday' is no day from 1970-01-01 to 2999-12-31; write 2026-01-31"),
    ({"to": ["9999-12-31"]}, "to", "is no day"),
    ({"from": ["2026-02-01"], "to": ["2026-01-01"]}, "to", "2026-01-01 is before from=2026-02-01"),
    ({"page": ["0"]}, "page", "'0' is no number from 1 to 1,000,000"),
    ({"page": ["²"]}, "page", "'²' is no number"),
    ({"page": ["9" * 30]}, "page", "is no number"),
    ({"size": ["501"]}, "size", "'501' is no number from 1 to 500"),
    ({"id": ["../etc"]}, "id", "'../etc' cannot be an id"),
    ({"q": ["x" * 201]}, "q", "it has 201 characters; at most 200 are read"),
    ({"model": ["a\x00b"]}, "model", "values have at most 300 characters that can be printed"),
    ({"tag": [f"t{i}" for i in range(51)]}, "tag", "51 values are more than 50"),
])  # fmt: skip
@pytest.mark.case("T37")
def test_what_cannot_be_is_named_and_left_out(bad: dict[str, list[str]], field: str, text: str) -> None:
    wanted, problems = read(bad)
    assert [p.field for p in problems] == [field] and text in problems[0].text
    assert read(params(write(wanted))) == (wanted, [])


@pytest.mark.parametrize(("bad", "field"), [
    ({"columns": ["status,secrets"]}, "columns"), ({"chosen": ["a,b/c"]}, "chosen"), ({"more": ["model,q"]}, "more"),
    ({"chosen": [",".join(f"id{i}" for i in range(MOST_CHOSEN + 1))]}, "chosen"),
])  # fmt: skip
def test_what_belongs_to_the_page_is_checked_too(bad: dict[str, list[str]], field: str) -> None:
    view, problems = read_view(bad)
    assert [p.field for p in problems] == [field] and len(view.chosen) <= MOST_CHOSEN
    assert [p.field for p in read(bad)[1]] == [field], "the HTTP routes know nothing of it"


def test_columns_may_be_none_but_the_title() -> None:
    assert read_view({"columns": ["title"]})[0].columns == () and write_view(View(columns=())) == {"columns": "title"}
    assert read_view({"columns": ["id,id,model"]})[0].columns == ("id", "model")
    assert set(USUAL_COLUMNS) <= set(COLUMNS)


def test_each_filter_can_be_taken_away() -> None:
    everything = Filter(q="a b", id=("x",), status=("failed",), model=("m", "n"), technique=("t",), workload=("w",), device=("d",), tag=("g",),
                        owner=("o",), source=("local",), first=date(2026, 1, 1), last=date(2026, 1, 2), archived="all", sort="title", page=3)  # fmt: skip
    said = active(everything)
    assert [name for name, _ in said] == ["q", "id", "status", "model", "model", "technique", "workload", "device", "tag", "owner", "source",
                                          "from", "to", "archived"]  # fmt: skip
    wanted: Any = everything
    for name, value in said:
        before, wanted = active(wanted), without(wanted, name, value)
        assert active(wanted) == [pair for pair in before if pair != (name, value)]
    assert wanted == Filter(sort="title"), "the order stays, the page is the first"
    assert without(everything, "model").model == ()


def test_the_grammar_names_every_field_of_the_filter() -> None:
    names = {"from": "first", "to": "last"}
    assert {names.get(p.name, p.name) for p in GRAMMAR} | {"descending", "known_until"} == set(Filter.__dataclass_fields__)
