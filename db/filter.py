"""Which experiments a list shows, in which order, and which page of them: one typed Filter, and the SQL conditions that it means.

The page, the HTTP routes and the exports build their SQL here and nowhere else. What an address says is read by
dashboard/filter_address.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.sql.elements import ColumnElement, UnaryExpression

from db.tables import Experiment, ExperimentTag, ExperimentTechnique, Run

STATES = ("running", "queued", "finished", "out_of_memory", "failed", "timed_out", "unsupported", "cancelled")
"""Of an experiment: the first three exclude each other, each of the others says that some run ended so."""
SOURCES = ("local", "reference", "imported")
ARCHIVE = ("no", "yes", "all")
FACETS = ("status", "model", "technique", "workload", "device", "tag", "owner", "source")
"""Filters that hold any number of values, of which one must be true."""
SORTS = ("created", "title", "model", "workload", "device", "owner")
PAGE_SIZE = 50


@dataclass(frozen=True)
class Filter:
    """Empty means no condition. device: the hardware's name, or what was asked for before a run has told it."""

    q: str = ""
    """Words; each must occur in title, model, id or note."""
    id: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    model: tuple[str, ...] = ()
    technique: tuple[str, ...] = ()
    workload: tuple[str, ...] = ()
    device: tuple[str, ...] = ()
    tag: tuple[str, ...] = ()
    owner: tuple[str, ...] = ()
    source: tuple[str, ...] = ()
    first: date | None = None
    """Created on this day or later, UTC."""
    last: date | None = None
    """Created on this day or earlier."""
    archived: str = "no"
    sort: str = "created"
    descending: bool = True
    page: int = 1
    size: int | None = PAGE_SIZE
    """None: all of them on one page."""
    known_until: datetime | None = None
    """Leaves out what came into the database later, so that a list that is looked at does not move. In no address."""


device = func.coalesce(Experiment.hardware, Experiment.bound_device, Experiment.device)

_COLUMNS: dict[str, ColumnElement[Any]] = {
    "id": Experiment.__table__.c.id, "model": Experiment.__table__.c.model, "workload": Experiment.__table__.c.workload,
    "device": device, "owner": Experiment.__table__.c.owner, "source": Experiment.__table__.c.source,
}  # fmt: skip
_SORTED_BY: dict[str, ColumnElement[Any]] = _COLUMNS | {
    "created": Experiment.__table__.c.created_at, "title": func.lower(Experiment.__table__.c.title),
}  # fmt: skip


def conditions(wanted: Filter) -> dict[str, ColumnElement[bool]]:
    """The conditions that are there, by the name of their filter; a row is shown where all hold."""
    found: dict[str, ColumnElement[bool]] = {n: column.in_(getattr(wanted, n)) for n, column in _COLUMNS.items() if getattr(wanted, n)}
    if wanted.q:
        found["q"] = and_(*(_contains(word) for word in wanted.q.split()))
    if wanted.technique:
        found["technique"] = _occurs(ExperimentTechnique, ExperimentTechnique.technique.in_(wanted.technique))
    if wanted.tag:
        found["tag"] = _occurs(ExperimentTag, ExperimentTag.tag.in_(wanted.tag))
    if wanted.status:
        found["status"] = or_(*(in_state(state, Experiment.__table__.c.id) for state in wanted.status))
    if wanted.first:
        found["first"] = Experiment.created_at >= datetime.combine(wanted.first, time())
    if wanted.last:
        found["last"] = Experiment.created_at < datetime.combine(wanted.last + timedelta(days=1), time())
    if wanted.archived != "all":
        found["archived"] = Experiment.archived.is_(wanted.archived == "yes")
    if wanted.known_until:
        found["known_until"] = Experiment.stored_at <= wanted.known_until
    return found


def in_state(state: str, experiment_id: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether an experiment is in one of STATES. Reads no run that succeeded, and those are most."""
    if state == "finished":
        return experiment_id.not_in(_with_run("queued", "running"))
    if state == "queued":
        return and_(experiment_id.in_(_with_run("queued")), experiment_id.not_in(_with_run("running")))
    return experiment_id.in_(_with_run(state))


def order(wanted: Filter) -> list[UnaryExpression[Any]]:
    """What is missing comes last, what is equal newest first."""
    column = _SORTED_BY[wanted.sort]
    first = column.desc() if wanted.descending else column.asc()
    return [first.nulls_last(), Experiment.created_at.desc(), Experiment.id.asc()]


def page_of(statement: Select[Any], wanted: Filter) -> Select[Any]:
    """The rows of the wanted page, in order."""
    statement = statement.where(*conditions(wanted).values()).order_by(*order(wanted))
    return statement if wanted.size is None else statement.limit(wanted.size).offset((wanted.page - 1) * wanted.size)


def _contains(word: str) -> ColumnElement[bool]:
    columns = (Experiment.title, Experiment.model, Experiment.id, Experiment.note)
    return or_(*(column.icontains(word, autoescape=True) for column in columns))


def _occurs(table: type[ExperimentTag] | type[ExperimentTechnique], which: ColumnElement[bool]) -> ColumnElement[bool]:
    return Experiment.id.in_(select(table.experiment_id).where(which))


def _with_run(*statuses: str) -> Select[str]:
    return select(Run.experiment_id).where(Run.status.in_(statuses))
