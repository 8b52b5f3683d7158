"""The trail of what people did: who started, cancelled, changed, shared, imported or deleted what, and when. Rows are added and read, never
changed; they name an experiment by its id and the title that it had, and outlive it.

Whoever writes for a visitor adds its row in the same transaction, so that nothing is done unrecorded and nothing recorded that was not done.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, select

from db.session import reading
from db.tables import Act, Experiment, iso
from db.visitor import visitor_of

ACTIONS = ("started", "cancelled", "archived", "unarchived", "renamed", "noted", "tagged", "made private", "made visible", "deleted",
           "imported", "saved a view", "froze a snapshot", "deleted a view", "deleted a snapshot")  # fmt: skip
UNNAMED = "somebody unnamed"
SUBJECT_CHARACTERS = 200


def of_experiments(connection: Connection, action: str, experiment_ids: Sequence[str]) -> None:
    """One row for each of these that is there; nothing where no visitor acts. Before a deletion, after everything else."""
    if visitor_of(connection) is None or not experiment_ids:
        return
    there = connection.execute(select(Experiment.id, Experiment.title).where(Experiment.id.in_(experiment_ids))).all()
    record(connection, action, [(row.id, row.title) for row in there])


def record(connection: Connection, action: str, subjects: Iterable[tuple[str | None, str]]) -> None:
    """subjects: (id, what it was called). Nothing where no visitor acts."""
    assert action in ACTIONS
    visitor = visitor_of(connection)
    if visitor is None:
        return
    rows = [{"who": visitor.name or UNNAMED, "action": action, "subject_id": i, "subject": text[:SUBJECT_CHARACTERS]} for i, text in subjects]
    if rows:
        connection.execute(insert(Act), rows)


def acts(db: Engine, limit: int, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """(newest first: at, who, action, subject_id, subject; how many there are in all). For admins: it names what is private."""
    columns = (Act.at, Act.who, Act.action, Act.subject_id, Act.subject)
    with reading(db) as connection:
        found = connection.execute(select(*columns).order_by(Act.id.desc()).limit(limit).offset(offset)).mappings()
        rows = [{**row, "at": iso(row["at"])} for row in found]
        return rows, int(connection.execute(select(func.count()).select_from(Act)).scalar_one())
