"""PostgreSQL crashes while a run goes on: the run ends as if nothing had happened, and is written when the server is back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine

from tests.databases import PostgresServer
from tests.engine.processes import wait_for
from tests.engine.scheduler.lab import LEASE, count_measurements, enqueue, executions, rows, started_runs, statuses


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """One of its own: the others' goes on."""
    server = PostgresServer()
    yield server
    server.stop()


@pytest.fixture
def database(server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("DATABASE_URL", url := server.new_database())
    return url


@pytest.mark.case("T21")
def test_a_crash_of_the_server_costs_no_run(server: PostgresServer, db: Engine, scheduler: Any) -> None:
    enqueue(db, "sleep-1")
    enqueue(db, "normal")
    scheduler()
    scheduler()
    wait_for(lambda: rows(db)[0].phase)
    server.crash()
    wait_for(lambda: ["1.1", "ended"] in executions())
    time.sleep(2 * LEASE)  # for as long as a lost run would be given up
    server.start_again()
    wait_for(lambda: statuses(db) == ["succeeded", "succeeded"])  # by a connection of the pool that died with the server
    assert started_runs() == ["1.1", "2.1"] and count_measurements(db) == 2 and {r.attempt for r in rows(db)} == {1}
