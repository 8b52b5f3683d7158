"""Sharing the list of experiments, and the report of a comparison."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine

from dashboard.comparing import reading
from dashboard.comparing.shown import shown
from dashboard.report.comparison import document
from db import queue, saved
from db.records import import_record
from engine import edits
from engine.variant_ref import read as read_refs
from tests.dashboard.conftest import HOSTILE, classified, finished, texts
from tests.dashboard.report.test_html import Page, drawn

Open = Callable[..., Any]
REFS = "first-experiment.1,first-experiment.2,second-experiment.1"


@pytest.fixture
def two(db: Engine) -> list[str]:
    return [import_record(db, finished(title, key), "imported") for title, key in (("First", "first-experiment"), ("Second", "second-experiment"))]


def opened(open_page: Open, view: str, **params: str) -> Any:
    page = open_page(view, **params)
    page.session_state["share"] = True
    return page.run()


def made(page: Any, which: str) -> str:
    page.button(key=which).click().run()
    assert not page.exception
    (link,) = [c.value for c in page.code if "/view?id=" in c.value]
    return str(link).partition("/view?id=")[2]


def shown_tables(page: Any) -> list[str]:
    """The tables as text: a cell that holds several values is an array, which == compares element by element."""
    return [str(d.value.to_csv()) for d in page.dataframe]


def report(**asked: str) -> Page:
    found, records, _ = reading.comparison(read_refs(REFS).refs, None, "together")
    assert found is not None
    return Page("".join(document(shown(found, records, asked), "A comparison", "http://lab/compare?variants=x")))


def test_a_list_is_frozen_with_its_rows_and_columns(two: list[str], db: Engine, open_page: Open) -> None:
    import_record(db, classified(), "imported")
    page = opened(open_page, "experiments", q="first", columns="status,model,created,techniques")
    before, view = shown_tables(page), made(page, "share_freeze")
    queue.delete_experiment(db, two[0])
    page = open_page("view", id=view)
    assert shown_tables(page) == before and "1 to 1 of 1" in texts(page)
    assert [(row["page"], row["variants"]) for row in saved.listed(db, 10)[0]] == [("experiments", 3)]


def test_a_saved_list_filters_as_it_did(two: list[str], db: Engine, open_page: Open) -> None:
    view = made(opened(open_page, "experiments", q="first", sort="title"), "share_save")
    assert "1 to 1 of 1" in texts(open_page("view", id=view))
    edits.rename(db, two[1], "The very first")
    assert "1 to 2 of 2" in texts(open_page("view", id=view))


def test_a_comparison_is_reported_as_it_is_shown(two: list[str], db: Engine) -> None:
    page = report(x="perplexity")
    words = "\n".join(page.words)
    for said in ("A comparison", "First · Second", "★ float32", "Change from baseline", "⊘ did not fit", "Run it again", "http://lab/compare?variants=x"):
        assert said in words, said
    assert "against Perplexity" in words and len(drawn(page)) >= 4
    assert page.count("table") > len(drawn(page)), "every chart has a table, and there are others"


def test_text_of_others_stays_text_in_it(two: list[str], db: Engine) -> None:
    usual = report()
    edits.rename(db, two[0], HOSTILE)
    page = report()
    assert {tag for tag, _ in page.tags} == {tag for tag, _ in usual.tags} and HOSTILE in "\n".join(page.words)


def test_the_dialog_offers_the_report_of_the_comparison(two: list[str], db: Engine, open_page: Open) -> None:
    page = opened(open_page, "compare", variants=REFS)
    assert [b.label for b in page.get("download_button") if b.key == "share_report"] == ["Report (HTML)"]
    made(page, "share_freeze")
    assert saved.listed(db, 10)[0][0]["variants"] == 4, "those that are compared, with their baseline"
