"""A database, scheduler processes, and the check that nothing of a test is left."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from db.session import connect, migrate
from engine.settings import data_dir
from tests.databases import database_of
from tests.engine.processes import processes_under
from tests.engine.scheduler.lab import Process, statuses


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.faults)])
def database(request: pytest.FixtureRequest, own_data: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """All on PostgreSQL too would double the time of `make test`: it has the few that ask for both."""
    yield from database_of(request, own_data, monkeypatch)


@pytest.fixture
def db(database: str) -> Iterator[Engine]:
    data_dir().mkdir(parents=True)
    engine = connect(database)
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture(autouse=True)
def _nothing_left(db: Engine, tmp_path: Path) -> Iterator[None]:
    yield
    assert processes_under(tmp_path) == []
    assert "running" not in statuses(db)


@pytest.fixture
def scheduler() -> Iterator[Any]:
    """Starts scheduler processes, and ends them after the test the way a service manager does."""
    processes: list[Process] = []

    def start(*arguments: str) -> Process:
        processes.append(Process(*arguments))
        return processes[-1]

    yield start
    for process in processes:
        if process.popen.poll() is None:
            process.popen.send_signal(signal.SIGCONT)
            assert process.signal(signal.SIGTERM) == 0
