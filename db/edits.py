"""Writes and reads what people say of an experiment: title, note, tags, archive, and whether it is private. Which text is good is for engine/edits.py.

Every change counts `edits` up, by which pages see that there is news.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

from sqlalchemy import Connection, CursorResult, Engine, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from db import audit
from db.session import reading
from db.tables import Experiment, ExperimentTag
from db.visitor import visible

_ACTIONS = {
    ("title", None): "renamed", ("note", None): "noted", ("archived", True): "archived", ("archived", False): "unarchived",
    ("private", True): "made private", ("private", False): "made visible",
}  # fmt: skip


def current(db: Engine, experiment_id: str) -> dict[str, Any] | None:
    """title, owner, private, note, archived, edits, and tags in their order; None if there is no such experiment."""
    wanted = select(Experiment.title, Experiment.owner, Experiment.private, Experiment.note, Experiment.archived, Experiment.edits)
    with reading(db) as connection:
        found = connection.execute(wanted.where(Experiment.id == experiment_id, visible(db, Experiment.id))).mappings().first()
        tags = connection.execute(select(ExperimentTag.tag).where(ExperimentTag.experiment_id == experiment_id).order_by(ExperimentTag.tag))
        return None if found is None else dict(found) | {"tags": list(tags.scalars())}


def change(db: Engine, experiment_ids: Sequence[str], values: dict[str, Any]) -> int:
    """Set title, note, archived or private of these experiments. Returns how many there are."""
    actions = [_ACTIONS[name, bool(value) if name in ("archived", "private") else None] for name, value in values.items()]
    with db.begin() as connection:
        return _edited(connection, experiment_ids, values, actions)


def add_tags(db: Engine, experiment_ids: Sequence[str], tags: Iterable[str]) -> int:
    """Tags that are there already stay. Returns how many of the experiments there are."""
    with db.begin() as connection:
        there = _there(connection, experiment_ids)
        if rows := [{"experiment_id": i, "tag": tag} for i in there for tag in dict.fromkeys(tags)]:
            upsert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
            connection.execute(upsert(ExperimentTag).on_conflict_do_nothing(), rows)
        return _edited(connection, there, {}, ["tagged"])


def remove_tags(db: Engine, experiment_ids: Sequence[str], tags: Iterable[str]) -> int:
    """Returns how many of the experiments there are."""
    with db.begin() as connection:
        there = _there(connection, experiment_ids)
        gone = delete(ExperimentTag).where(ExperimentTag.experiment_id.in_(there), ExperimentTag.tag.in_(list(tags)))
        connection.execute(gone)
        return _edited(connection, there, {}, ["tagged"])


def _there(connection: Connection, experiment_ids: Sequence[str]) -> Sequence[str]:
    found = select(Experiment.id).where(Experiment.id.in_(experiment_ids), visible(connection, Experiment.id))
    return connection.execute(found).scalars().all()


def _edited(connection: Connection, experiment_ids: Sequence[str], values: dict[str, Any], actions: Iterable[str]) -> int:
    which = update(Experiment).where(Experiment.id.in_(there := _there(connection, experiment_ids)))
    number = cast("CursorResult[Any]", connection.execute(which.values(edits=Experiment.edits + 1, **values))).rowcount
    for action in actions:
        audit.of_experiments(connection, action, there)
    return number
