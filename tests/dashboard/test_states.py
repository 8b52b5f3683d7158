"""Every page in every state that a visitor may find it in: it says what is the matter and what to do next, and never ends in a traceback.

A page that somebody adds to dashboard/pages.py is here by itself.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from dashboard import pages
from dashboard.comparing import shown as comparing_shown
from dashboard.experiment import shown
from db.records import import_record
from db.session import connect, migrate
from engine.references import import_references
from engine.settings import data_dir, database_url
from tests.dashboard.conftest import finished, texts

Open = Callable[..., AppTest]
VIEWS = list(pages.addresses())
ID = "finished-experiment-01"


def params(view: str) -> dict[str, str]:
    """What the address of a page says that is about something."""
    return {"experiment": {"id": ID}, "compare": {"variants": f"{ID}.0,{ID}.1"}}.get(view, {})


def next_steps(page: AppTest) -> list[str]:
    """Everything that a visitor can do next: enabled buttons and inputs, links, commands to copy."""
    widgets = [w for kind in ("button", "selectbox", "text_input", "checkbox", "multiselect", "toggle") for w in getattr(page, kind) if not w.disabled]
    return [*(str(w.label) for w in widgets), *(e.proto.label for e in page.get("page_link")), *(c.value for c in page.code)]


def charts_without_words_or_table(page: AppTest) -> list[str]:
    """Every chart has a text alternative, and its numbers as a table: below it, or behind 'Show as table'."""
    alternatives = [chart.proto.alt for chart in page.get("plotly_chart")]
    drawers = [e for e in page.get("expander") if e.proto.label == "Show as table"]
    tables = [f for f in page.dataframe if f.proto.alt.startswith("The chart above as a table.")]
    missing = ["a text alternative"] if not all(len(text) > 20 for text in alternatives) else []
    return missing + ([] if len(drawers) + len(tables) == len(alternatives) else [f"{len(drawers)} + {len(tables)} tables of {len(alternatives)} charts"])


def labels_read_out_with_marks(page: AppTest) -> list[str]:
    """Streamlit gives a widget's label to screen readers as it is written, Markdown and escapes and all."""
    kinds = ("checkbox", "toggle", "radio", "selectbox", "multiselect", "text_input", "number_input", "text_area", "slider")
    return [str(w.label) for kind in kinds for w in getattr(page, kind) if re.search(r"\*\*|\\\\|^\s*$", str(w.label))]


def checked(page: AppTest) -> str:
    assert labels_read_out_with_marks(page) == []

    assert not page.exception and charts_without_words_or_table(page) == []
    shown = texts(page)
    assert "Traceback" not in shown and 'File "' not in shown and "`None`" not in shown
    assert next_steps(page), shown
    return shown


@pytest.mark.parametrize("view", VIEWS)
def test_empty(db: Engine, open_page: Open, view: str) -> None:
    page = open_page(view, **params(view))
    checked(page)
    assert page.title or page.header or page.subheader


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.case("T23")
def test_a_database_that_cannot_be_opened(own_data: Path, open_page: Open, view: str) -> None:
    own_data.mkdir(parents=True)
    (own_data / "lab.db").write_text("not a database " * 500)
    page = open_page(view, **params(view))
    shown = texts(page)
    assert not page.exception and "file is not a database" in shown and "LAB_DATA" in shown and "reload" in shown


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.case("T20")
def test_a_database_that_fails_while_one_looks(db: Engine, experiment: str, open_page: Open, view: str) -> None:
    """Its tables are gone: whatever the page asks, the answer is one message, or nothing that it needs is missing."""
    with sqlite3.connect(data_dir() / "lab.db") as connection:
        for table in ("measurements", "runs", "variants", "experiments"):
            connection.execute(f"DROP TABLE {table}")
    st.cache_data.clear()
    page = open_page(view, **params(view))
    shown = texts(page)
    assert not page.exception and "Traceback" not in shown
    assert "no such table" in shown or next_steps(page)


@pytest.fixture(scope="session")
def references(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with all of the project's reference results, and one experiment of this installation; made once."""
    path = tmp_path_factory.mktemp("references") / "lab.db"
    db = connect(f"sqlite:///{path}")
    migrate(db)
    assert import_references(db) == []
    import_record(db, finished(), "imported")
    db.dispose()
    return path


@pytest.fixture
def with_references(references: Path, own_data: Path) -> None:
    own_data.mkdir(parents=True)
    shutil.copy(references, own_data / "lab.db")
    assert database_url().endswith(str(own_data / "lab.db"))


@pytest.mark.parametrize("view", VIEWS)
def test_with_the_projects_own_results(with_references: Any, open_page: Open, view: str) -> None:
    page = open_page(view, **params(view))
    checked(page)
    assert page.get("plotly_chart") or view not in ("overview", "experiment", "planner"), "there are charts, so that the check above can fail"


LADDER, SMOLLM = "tPHPr37Y5KOeZPP8RfyJyA", "Fe_jqRLqYH9cWdHu8cqzGQ"
"""Reference results: one with charts of training and of growth, one with quality."""
IN_TABS = [("experiment", {"id": key}, tab) for key in (LADDER, SMOLLM) for tab in shown.TABS]
IN_TABS += [("compare", {"variants": f"{SMOLLM}.0,{SMOLLM}.4,{LADDER}.0"}, tab) for tab in comparing_shown.TABS]


@pytest.mark.parametrize(("view", "asked", "tab"), IN_TABS)
def test_every_tab(with_references: Any, open_page: Open, view: str, asked: dict[str, str], tab: str) -> None:
    """Only the tab that is looked at is drawn, so each is opened."""
    checked(open_page(view, **asked, tab=tab))


@pytest.mark.parametrize("view", VIEWS)
def test_read_only(with_references: Any, open_page: Open, monkeypatch: pytest.MonkeyPatch, view: str) -> None:
    monkeypatch.setenv("LAB_READ_ONLY", "1")
    assert "This dashboard is read-only" in checked(open_page(view, **params(view)))


@pytest.mark.parametrize("view", VIEWS)
def test_a_link_that_asks_for_nonsense(db: Engine, experiment: str, open_page: Open, view: str) -> None:
    nonsense = {"id": "../../x", "variants": "<b>,1.x", "base": "-", "x": "__class__", "page": "-1", "q": "%", "sort": "'", "technique": "\\", "model": "\x00"}
    checked(open_page(view, **nonsense))
