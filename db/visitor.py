"""Who reads and writes through an engine: what is hidden from them, and under whose name an act is recorded. Knows no roles.

An engine that `acting` has not bound hides nothing and records nothing: the scheduler's, and that of a machine without people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Connection, Engine, select, true
from sqlalchemy.sql.elements import ColumnElement

from db.session import reading
from db.tables import Experiment

_OPTION = "lab_visitor"


@dataclass(frozen=True)
class Visitor:
    """sees_all: private experiments of others too. name: None for somebody who has not said who they are, and owns nothing."""

    name: str | None
    sees_all: bool


def acting(db: Engine, visitor: Visitor) -> Engine:
    """The same database with the same connections, for this visitor."""
    return db.execution_options(**{_OPTION: visitor})


def visitor_of(bound: Engine | Connection) -> Visitor | None:
    return cast("Visitor | None", bound.get_execution_options().get(_OPTION))


def visible(bound: Engine | Connection, experiment_id: ColumnElement[str] | Any) -> ColumnElement[bool]:
    """Whether an experiment is there for the visitor. Every query that finds experiments, or anything of them, by itself asks this:
    what is hidden is not found, so it cannot be told from what does not exist."""
    visitor = visitor_of(bound)
    if visitor is None or visitor.sees_all:
        return true()
    hidden = select(Experiment.id).where(Experiment.private)
    if visitor.name is not None:
        hidden = hidden.where(Experiment.owner.is_distinct_from(visitor.name))
    return cast("ColumnElement[bool]", experiment_id.not_in(hidden))


def hides_any(db: Engine) -> bool:
    """Whether there is an experiment that the visitor does not see: if not, they see what everybody sees."""
    visitor = visitor_of(db)
    if visitor is None or visitor.sees_all:
        return False
    with reading(db) as connection:
        return connection.execute(select(Experiment.id).where(~visible(db, Experiment.id)).limit(1)).first() is not None


def any_private(db: Engine, experiment_ids: Sequence[str]) -> bool:
    """Whether one of these is private, of those that the visitor sees."""
    private = select(Experiment.id).where(Experiment.private, Experiment.id.in_(experiment_ids), visible(db, Experiment.id))
    with reading(db) as connection:
        return connection.execute(private.limit(1)).first() is not None


def owners(db: Engine, experiment_ids: Sequence[str]) -> dict[str, str | None]:
    """{id: whose it is} of those that the visitor sees; the others are missing."""
    with reading(db) as connection:
        found = connection.execute(select(Experiment.id, Experiment.owner).where(Experiment.id.in_(experiment_ids), visible(db, Experiment.id)))
        return {row.id: row.owner for row in found}
