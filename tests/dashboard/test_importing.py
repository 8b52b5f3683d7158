"""Files of other tools on the pages: taken by a drawer, shown as imported, beside measured results without a verdict."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine

from db import queries
from engine.imports import tools
from tests.dashboard.conftest import texts
from tests.engine.imports.test_readers import FILES, NAMES, content

Open = Callable[..., Any]


def upload(open_page: Open, name: str, given: bytes | None = None) -> Any:
    """The drawer on Compare, with a file in it and Import pressed."""
    page = open_page("compare")
    page.session_state["import_compare"] = True
    page.run()
    page.file_uploader(key="import_file").upload(name, given if given is not None else content(name), "application/json").run()
    page.button(key="import_button").click().run()
    assert not page.exception
    return page


def said(page: Any) -> str:
    return texts(page).replace("\\", "")


def test_a_file_is_imported_by_the_drawer_once(db: Engine, open_page: Open) -> None:
    page = upload(open_page, "guidellm.json")
    assert "tiny, served (imported from GuideLLM 0.8.1): imported" in said(page)
    links = {link.proto.label.replace("\\", ""): str(link.proto.query_string) for link in page.get("page_link")}
    assert any(q.startswith("id=") for q in links.values()) and any("variants=" in q for q in links.values())
    page.button(key="import_button").click().run()
    assert "this file was imported before; nothing was added" in said(page)
    assert queries.count_experiments(db) == 1


@pytest.mark.parametrize(("name", "given", "message"), [
    ("x.json", b"{}", "x.json: no tool is known that writes such a file"), ("<b>.json", b"nonsense", "<b>.json: it is not JSON"),
    ("guidellm.json", content("guidellm.json").replace(b'"median": ', b'"middle": ').replace(b'"successful": [', b'"some": ['), "it has no 'median'"),
])  # fmt: skip
def test_a_file_that_is_refused_is_one_sentence_and_changes_nothing(db: Engine, open_page: Open, name: str, given: bytes, message: str) -> None:
    page = upload(open_page, name, given)
    assert message in said(page) and queries.count_experiments(db) == 0
    assert not [m.value for m in page.error if "<b>" in m.value], "what others wrote is shown as it is"


def test_nothing_is_imported_where_nothing_may_change(db: Engine, open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_READ_ONLY", "1")
    page = open_page("compare")
    page.session_state["import_compare"] = True
    page.run()
    assert page.file_uploader(key="import_file").disabled and page.button(key="import_button").disabled


@pytest.mark.parametrize("name", NAMES)
def test_its_page_shows_what_was_taken_over_and_what_was_not(db: Engine, open_page: Open, name: str) -> None:
    experiment, _ = tools.store(db, name, content(name))
    page = open_page("experiment", id=experiment)
    shown = said(page)
    assert f"imported from {name}" in shown and "without a verdict" in shown and "stopped early" not in shown
    tables = [f.value for f in page.dataframe]
    (measured,) = [t for t in tables if "From" in t]
    assert len(measured) and (measured["Samples"] > 0).all() and (measured["From"] != "").all()
    assert [t for t in tables if list(t.columns) == ["Name", "Point", "Value", "Unit"]]
    words = ("better", "worse", "equivalent")
    assert not any(word in str(t.to_numpy().tolist()) for t in tables for word in words)
    assert not [b for b in page.button if b.label == "Run"] and "Run it again" not in str([link.proto.label for link in page.get("page_link")])


@pytest.mark.parametrize("base", ["measured", "imported"])
def test_it_is_compared_with_measured_variants_without_a_verdict(db: Engine, experiment: str, open_page: Open, base: str) -> None:
    theirs, _ = tools.store(db, "optimum_benchmark_gpu.json", content("optimum_benchmark_gpu.json"))
    page = open_page("compare", variants=f"{experiment}.0,{experiment}.1,{theirs}.0", base=f"{experiment}.0" if base == "measured" else f"{theirs}.0")
    verdicts = page.dataframe[0].value
    column = next(c for c in verdicts.columns if "(imported)" in str(c))
    cells = [str(c) for c in verdicts[column] if str(c)]
    assert any("⇥ imported" in c for c in cells) and not any(w in c for c in cells for w in ("better", "worse", "equivalent"))
    assert "measured by" in said(page), "what is not equal is named above the table"
    (chart, *_) = page.get("plotly_chart")
    assert "imported" in chart.proto.alt or "imported" in chart.proto.spec


def test_nothing_is_answered_from_it(db: Engine, open_page: Open) -> None:
    for path in FILES.glob("*.json"):
        tools.store(db, path.name, path.read_bytes())
    assert "Nothing has been measured yet." in said(open_page())
    advisor = said(open_page("advisor"))
    assert "what is imported is not recommended" in advisor or "Nothing has been measured yet." in advisor
    assert "0 B" not in said(open_page("experiments")) and "imported" in said(open_page("experiments"))
    assert "You could compare" not in [h.value for h in open_page("compare").header]
