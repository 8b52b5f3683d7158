"""Whether a database can be used, looked at without making or changing anything: for those who ask what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, func, select, text
from sqlalchemy.exc import SQLAlchemyError

from db import queries
from db.session import connect, head_revision, known_revisions, reading
from db.tables import Experiment, Run

ALIVE_SECONDS = 15.0
"""A scheduler counts up every second or so; silent for longer than this, it is not there."""


@dataclass(frozen=True)
class State:
    """problem: why it cannot be used; None where it can. schedulers: those that are alive. queued, running: runs."""

    problem: str | None
    detail: str = ""
    schedulers: tuple[dict[str, Any], ...] = ()
    queued: int = 0
    running: int = 0


def is_there(db: Engine) -> bool:
    """Whether the file of a SQLite database still is: who has it open can go on reading one that was deleted."""
    return db.dialect.name != "sqlite" or Path(str(db.url.database)).is_file()


def alive(db: Engine) -> list[dict[str, Any]]:
    """The schedulers that count up."""
    return [s for s in queries.schedulers(db) if s["age_seconds"] <= ALIVE_SECONDS]


def look(url: str) -> State:
    """Opens it for this look alone. What a URL or a database has wrong with it is the state's problem; nothing is raised for it."""
    db = None
    try:
        if url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///").partition("?")[0]).is_file():
            return State("there is none yet: make run makes it")
        db = connect(url, read_only=True)
        return _look(db)
    except (ValueError, SQLAlchemyError) as error:
        return State(" ".join(str(getattr(error, "orig", None) or error).split()))
    finally:
        if db is not None:
            db.dispose()


def _look(db: Engine) -> State:
    with reading(db) as connection:
        if db.dialect.name == "sqlite" and (found := connection.execute(text("PRAGMA quick_check(1)")).scalar()) != "ok":
            return State(f"it is damaged ({found}); restore a backup: python -m engine restore FILE --replace")
        revision = MigrationContext.configure(connection).get_current_revision()
    if revision is None:
        return State("it has no tables yet: make run makes them")
    if revision not in known_revisions():
        return State(f"it was written by a newer version (schema {revision}); update this code")
    if revision != head_revision():
        return State(None, f"schema {revision}, brought up to date when the lab or a command opens it next")
    with reading(db) as connection:
        experiments = connection.execute(select(func.count()).select_from(Experiment)).scalar_one()
        open_runs = select(Run.status, func.count()).where(Run.status.in_(("queued", "running"))).group_by(Run.status)
        waiting = {status: count for status, count in connection.execute(open_runs)}
    detail = f"schema {revision}, {experiments:,} experiments"
    return State(None, detail, tuple(alive(db)), waiting.get("queued", 0), waiting.get("running", 0))
