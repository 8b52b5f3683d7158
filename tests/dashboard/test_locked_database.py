"""Somebody holds the database for longer than a page waits: the page shows what there is, says what did not work, and it works the next time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine

from dashboard import store
from db import liveness, queries
from db.session import connect, migrate
from engine import api
from engine.presets import parse_spec
from tests.engine.scheduler.lab import locked

WAITS = 1


@pytest.fixture
def db(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.setattr("db.session.BUSY_SECONDS", WAITS)
    engine = connect(database)
    migrate(engine)
    yield engine
    store.open_database(database).dispose()  # the pages' own
    engine.dispose()


@pytest.mark.case("T19", "T20")
def test_a_click_says_that_it_changed_nothing_and_works_the_next_time(db: Engine, open_page: Callable[..., Any]) -> None:
    liveness.announce(db, "s", machine="here", pid=1, devices=[], availability={})
    experiment = api.submit(db, parse_spec({"title": "mine", "model": "tiny-llama", "rounds": 3, "variants": ["bfloat16"]}))
    page = open_page("queue")
    with locked(db):
        assert page.run().button(key=f"cancel_{experiment}"), "readers wait for nobody"
        began = time.monotonic()
        page.button(key=f"cancel_{experiment}").click().run()
        assert time.monotonic() - began >= WAITS
    assert not page.exception
    assert "The database did not answer" in page.error[0].value and "this was not done, or not all of it. Try again." in page.error[0].value.replace("\\", "")
    assert {r["status"] for r in queries.record(db, experiment)["runs"]} == {"queued"}  # type: ignore[index]
    page.button(key=f"cancel_{experiment}").click().run()
    assert {r["status"] for r in queries.record(db, experiment)["runs"]} == {"cancelled"}  # type: ignore[index]
