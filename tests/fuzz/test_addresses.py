"""Every reader of an address, given anything: it falls back, and what it could not use is named."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.testclient import TestClient

from dashboard import links, planning, tray
from dashboard.browse import address
from dashboard.comparing.shown import NAMES, split_of
from dashboard.controls import Offer, meant
from dashboard.routes.table import ROUTES
from db.records import import_record
from db.session import connect, migrate
from engine import variant_ref
from engine.answers.question import bytes_of, fraction_of, point_of
from engine.planning.plan_request import answer, request
from engine.settings import data_dir, database_url
from tests.dashboard.conftest import finished
from tests.fuzz.hostile import fuzz, is_clear, texts

written = st.one_of(
    texts,
    st.lists(texts, max_size=5).map(",".join),
    st.sampled_from(["-created", "2026-01-31", "no", "1", "999999999999999999999", "0" * 11 + "1" + "9" * 280, "finished-experiment-01", "ID.0,ID.1"]),
)
links_names = ["id", "from", "variants", "base", "page"]
names = st.one_of(st.sampled_from([*address.NAMES, *links_names, *NAMES]), texts)


@fuzz
@given(st.dictionaries(names, written, max_size=6))
@example({"page": "0" * 11 + "1" + "9" * 280})
def test_links(params: dict[str, str]) -> None:
    assert 1 <= links.page_number(params, 7) <= 7
    for name in params:
        text = links.text(params, name)
        assert text is None or (text.isprintable() and 0 < len(text) <= 300)
        for found in (links.experiment_id(params, name), *links.experiment_ids(params, name)):
            assert found is None or (found.isascii() and 0 < len(found) <= 32)
    refs = links.variants(params)
    assert len(refs.refs) <= variant_ref.MOST and all(m.isprintable() for m in refs.malformed)
    assert variant_ref.read(variant_ref.write(refs.refs)).refs == refs.refs
    assert all(said.isprintable() for said in tray.problems(params))
    assert split_of(params) in ("together", "device", "conditions")
    controls = meant("x", {name: Offer(("a", "b"), "a") for name in NAMES}, params)
    assert set(controls.values.values()) <= {"a", "b"}


@fuzz
@given(st.dictionaries(names, st.lists(written, max_size=3), max_size=6))
@example({"page": ["0" * 11 + "1" + "9" * 280]})
def test_the_filter_of_experiments(params: dict[str, list[str]]) -> None:
    view, problems = address.read_view(params)
    assert 1 <= (view.filter.page or 0) <= 10**6 and 1 <= (view.filter.size or 0) <= address.LARGEST_PAGE
    assert all(p.field.isprintable() and p.text and len(str(p)) < 1_000 for p in problems)
    said = address.write_view(view)
    assert address.read_view({name: [value] for name, value in said.items()}) == (view, [])


@fuzz
@given(st.fixed_dictionaries({}, optional={name: written for name in planning.USUAL}))
def test_the_planner(params: dict[str, str]) -> None:
    given = {name: value for name in params if (value := links.text(params, name)) is not None}
    try:
        answer(request(**{**given, "techniques": tuple(given.get("techniques", "").split("+")) if given.get("techniques") else (),
                          "model": given.get("model", "gpt2")}))  # fmt: skip
    except ValueError as error:
        is_clear(error)


@fuzz
@given(written)
def test_amounts(text: str) -> None:
    for read, field in ((bytes_of, "max-memory: "), (fraction_of, "max-quality-loss: "), (point_of, "point: ")):
        try:
            read(text)
        except ValueError as error:
            is_clear(error, field)


@pytest.fixture
def client() -> Iterator[TestClient]:
    """The routes over a database with one experiment. What is raised in a route is raised here."""
    data_dir().mkdir(parents=True)
    db = connect(database_url())
    migrate(db)
    import_record(db, finished(), "imported")
    db.dispose()
    with TestClient(Starlette(routes=ROUTES)) as client:
        yield client


@fuzz
@given(
    path=st.one_of(
        st.sampled_from([r.path for r in ROUTES if "{" not in r.path]),
        st.builds("/api/v1/experiments/{}.{}".format, st.one_of(written, st.just("finished-experiment-01")), st.sampled_from(["json", "csv", "samples.csv"])),
    ),
    params=st.lists(st.tuples(st.one_of(names, st.just("until")), st.one_of(written, st.just("0001-01-01T00:00:00+23:59"))), max_size=4),
)  # fmt: skip
@example(path="/api/v1/variants.csv", params=[("until", "0001-01-01T00:00:00+23:59")])
def test_the_routes(client: TestClient, path: str, params: list[tuple[str, str]]) -> None:
    from urllib.parse import quote, urlencode

    query = urlencode(params, errors="replace")
    answered = client.get(f"{quote(path, errors='replace')}?{query}")
    assert answered.status_code in (200, 400, 404), answered.text[:300]
    if answered.status_code != 200 and answered.headers["content-type"].startswith("application/json"):
        assert answered.json()["error"]
