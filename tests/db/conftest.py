"""A real, migrated database of each kind for every test."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, select

from db import queue
from db.session import connect, migrate, reading
from db.tables import Run


@pytest.fixture
def url(database: str) -> str:
    """The URL of an empty database."""
    return database


@pytest.fixture
def db(url: str) -> Iterator[Engine]:
    engine = connect(url)
    migrate(engine)
    yield engine
    engine.dispose()


SPEC = {"title": "t", "model": {"source": "bundled", "name": "smollm2-135m"}, "workload": {"name": "generation"}}


def enqueue(db: Engine, runs: int = 1, device: str = "cpu", **changes: Any) -> str:
    """An experiment of one variant with some queued speed runs."""
    name = secrets.token_urlsafe(16)
    experiment = {"id": name, "title": "t", "spec": SPEC, "source": "local", "device": device, "request_key": name} | changes
    variants = [{"name": "baseline", "stack": [], "baseline": True}]
    planned = [{"variant": 0, "round": r, "kind": "speed"} for r in range(runs)]
    return queue.submit(db, experiment=experiment, variants=variants, runs=planned)


def rows(db: Engine) -> list[Any]:
    with reading(db) as connection:
        return list(connection.execute(select(Run.__table__).order_by(Run.id)))


CPU = queue.Offer("here/cpu", ("cpu", "here/cpu"))


def end(db: Engine, claim: queue.Claim, **changes: Any) -> bool:
    """Finish a run with one measurement."""
    measured = {"metric": "ttft_seconds", "point": {"batch": 1}, "status": "succeeded", "reason": None, "value": 0.5,
                "samples": [0.4, 0.5, 0.6], "warmups": [1.0]}  # fmt: skip
    outcome: dict[str, Any] = {
        "status": "succeeded", "reason": None, "measurements": [measured], "evidence": {}, "details": {"a": 1},
        "environment": {"cpu": "x"}, "host_peak_bytes": 2**33, "log_tail": "the end", "seconds": 1.5,
    }  # fmt: skip
    return queue.finish(db, claim, **(outcome | changes))
