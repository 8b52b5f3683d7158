"""A read-only dashboard: controls that write are disabled and say why, forged clicks and the database itself refuse."""

from __future__ import annotations

import ast
from collections.abc import Callable

import pytest
from sqlalchemy import Engine, insert
from sqlalchemy.exc import OperationalError
from streamlit.testing.v1 import AppTest

from dashboard import notices, permissions, store
from db import liveness, queries
from db.tables import Environment
from engine import api
from engine.presets import parse_spec
from engine.settings import REPOSITORY, database_url, read_only
from tests.dashboard.conftest import texts

Open = Callable[..., AppTest]
CHANGES = {"queue.cancel_experiment", "queue.cancel_run", "queue.delete_experiment", "edits.rename", "edits.set_note", "edits.set_archived",
           "edits.set_private", "edits.add_tags", "edits.remove_tags"}  # fmt: skip
"""Those that change an experiment that is there."""
WRITES = {"api.submit", "records.import_record", "tools.store", "saved.save_view", "saved.keep_snapshot", *CHANGES}
"""Functions below the dashboard that write; whoever adds one that a page calls adds it here."""


@pytest.fixture
def queued(db: Engine) -> str:
    """An experiment that waits."""
    liveness.announce(db, "s", machine="here", pid=1, devices=[], availability={})
    return api.submit(db, parse_spec({"title": "mine", "model": "tiny-llama", "rounds": 3, "variants": ["bfloat16"]}))


@pytest.fixture
def protect(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Makes the pages read-only from here on."""
    return lambda: monkeypatch.setenv("LAB_READ_ONLY", "1")


@pytest.mark.parametrize(("view", "keys"), [
    ("new_experiment", {"new_run"}), ("queue", {"cancel_{}"}), ("experiment", {"cancel_followed", "delete"}),
])  # fmt: skip
def test_controls_that_write_are_disabled_with_the_reason(queued: str, protect: Callable[[], None], open_page: Open, view: str, keys: set[str]) -> None:
    protect()
    page = open_page(view, id=queued)
    assert "This dashboard is read-only" in texts(page)
    for key in keys:
        button = page.button(key=key.format(queued))
        assert button.disabled and "LAB_READ_ONLY" in button.help


@pytest.mark.case("T40")
def test_a_forged_click_changes_nothing_and_is_told_why(db: Engine, queued: str, protect: Callable[[], None], open_page: Open) -> None:
    page = open_page("queue")
    protect()  # the button of the page that is open is enabled still, as one that a visitor tampered with
    page.button(key=f"cancel_{queued}").click().run()
    assert not page.exception
    assert "it shows and downloads everything, and changes nothing" in "".join(e.value for e in page.error).replace("\\", "")
    record = queries.record(db, queued)
    assert record is not None and {r["status"] for r in record["runs"]} == {"queued"}


def test_a_forged_click_of_run_submits_nothing(db: Engine, queued: str, protect: Callable[[], None], open_page: Open) -> None:
    page = open_page("new_experiment")
    page.selectbox(key="new_model").select("tiny-llama").run()
    protect()
    page.button(key="new_run").click().run()
    assert not page.exception
    assert queries.count_experiments(db) == 1


@pytest.mark.case("T40")
def test_behind_the_pages_the_database_refuses(db: Engine, protect: Callable[[], None]) -> None:
    protect()
    with pytest.raises(OperationalError, match="readonly database"), store.open_database(database_url()).begin() as connection:
        connection.execute(insert(Environment).values(id="x", facts={}))
    with pytest.raises(ValueError, match="LAB_READ_ONLY"):
        permissions.database()


def test_pages_that_may_write_say_nothing_of_it(db: Engine, open_page: Open) -> None:
    assert "read-only" not in texts(open_page("queue"))


def test_a_setting_that_cannot_be_read_protects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_READ_ONLY", "ja")
    with pytest.raises(ValueError, match="LAB_READ_ONLY: 'ja' is neither yes nor no"):
        read_only()


def test_what_an_action_says_outlives_the_next_drawing_of_the_page(
    queued: str, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = open_page("queue")
    page.button(key=f"cancel_{queued}").click().run()
    for _ in range(3):  # as a polling fragment does
        assert "6 runs are cancelled" in texts(page)
        page.run()
    monkeypatch.setattr(notices, "STAYS_SECONDS", 0.0)
    assert "6 runs are cancelled" not in texts(page.run())


def test_every_write_of_the_pages_asks_permission() -> None:
    """A call of a function that writes takes its database from permissions.database(), wherever in the dashboard it is; one that changes
    an experiment tells it which."""
    found: list[tuple[bool, bool]] = []
    for path in sorted((REPOSITORY / "dashboard").rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and (name := ast.unparse(call.func)) in WRITES:
                of = call.args[0]
                assert isinstance(of, ast.Call) and ast.unparse(of.func) == "permissions.database", f"{path.name}: {ast.unparse(call)}"
                found.append((name in CHANGES, bool(of.args)))
    assert len(found) >= 12 and all(changes == told for changes, told in found)


