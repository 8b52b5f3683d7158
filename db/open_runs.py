"""What runs and waits, by experiment, in the order in which it will be done: counts, how long its ended runs took, what runs now.

A fixed number of statements, however long the queue is; reads no log, evidence or spec.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Engine, func, select

from db.filter import device
from db.session import reading
from db.tables import Experiment, Run, Variant
from db.visitor import visible

OPEN = ("queued", "running")


@dataclass(frozen=True)
class OpenExperiment:
    """device: for people. wanted: what was asked for; bound: the one device that it stays on, once it has begun.

    counts: {status: runs}. left: {kind: queued runs}. seconds: {kind: mean of the ended runs}. first: the id that decides its turn.

    running: {run_id, variant, round, kind, phase, started_at, cancel, scheduler, device} of each run that goes on.
    """

    id: str
    title: str
    owner: str | None
    model: str
    device: str
    wanted: str
    bound: str | None
    first: int
    counts: dict[str, int]
    left: dict[str, int]
    seconds: dict[str, float]
    running: tuple[dict[str, Any], ...] = ()


def token(db: Engine) -> str:
    """Changes when a run begins, ends or is queued, or an experiment that has open runs is edited; not with every sign of life."""
    of_runs = select(Run.status, func.count(), func.min(Run.id), func.max(Run.id)).where(Run.status.in_(OPEN)).group_by(Run.status)
    edits = select(func.sum(Experiment.edits)).where(Experiment.id.in_(select(Run.experiment_id).where(Run.status.in_(OPEN))))
    with reading(db) as connection:
        return str([*sorted(tuple(row) for row in connection.execute(of_runs)), connection.execute(edits).scalar()])


def open_experiments(db: Engine) -> list[OpenExperiment]:
    """Those that run first, then those that wait in the order of their turn; `running` is empty, see `with_running`."""
    with reading(db) as connection:
        by_experiment = defaultdict(list)
        grouped = select(Run.experiment_id, Run.status, Run.kind, func.count().label("runs"), func.min(Run.id).label("first"))
        for row in connection.execute(grouped.where(Run.status.in_(OPEN), visible(db, Run.experiment_id)).group_by(Run.experiment_id, Run.status, Run.kind)):
            by_experiment[row.experiment_id].append(row)
        if not by_experiment:
            return []
        ended = _ended(connection, list(by_experiment))
        of = Experiment
        columns = (of.id, of.title, of.owner, of.model, device.label("device"), of.device.label("wanted"), of.bound_device)
        found = connection.execute(select(*columns).where(Experiment.id.in_(by_experiment))).all()
    made = [_made(e, by_experiment[e.id], ended[e.id]) for e in found]
    return sorted(made, key=lambda e: ("running" not in e.counts, e.first))


def with_running(db: Engine, waiting: Sequence[OpenExperiment]) -> list[OpenExperiment]:
    """The same with what each of their runs does just now."""
    with reading(db) as connection:
        found = _running(connection)
    return [replace(e, running=tuple(found[e.id])) for e in waiting]


def _made(experiment: Any, rows: Sequence[Any], ended: Sequence[Any]) -> OpenExperiment:
    counts: dict[str, int] = defaultdict(int)
    for row in (*rows, *ended):
        counts[row.status] += row.runs
    timed: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for row in ended:
        if row.seconds is not None:
            timed[row.kind].append((float(row.seconds), row.timed))
    return OpenExperiment(
        experiment.id, experiment.title, experiment.owner, experiment.model, experiment.device, experiment.wanted, experiment.bound_device,
        first=min(row.first for row in rows), counts=dict(counts), left={r.kind: r.runs for r in rows if r.status == "queued"},
        seconds={kind: sum(s for s, _ in found) / max(sum(n for _, n in found), 1) for kind, found in timed.items()},
    )  # fmt: skip


def _ended(connection: Connection, ids: Sequence[str]) -> dict[str, list[Any]]:
    """Cancelled and lost runs have no duration that says anything: only what came to a result is timed."""
    found: dict[str, list[Any]] = defaultdict(list)
    totals = (func.count().label("runs"), func.sum(Run.seconds).label("seconds"), func.count(Run.seconds).label("timed"))
    query = select(Run.experiment_id, Run.status, Run.kind, *totals).where(Run.experiment_id.in_(ids), Run.status.not_in(OPEN))
    for row in connection.execute(query.group_by(Run.experiment_id, Run.status, Run.kind)):
        found[row.experiment_id].append(row)
    return found


def _running(connection: Connection) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    query = (
        select(
            Run.experiment_id, Run.id.label("run_id"), Variant.name.label("variant"), Run.round, Run.kind, Run.phase, Run.started_at, Run.cancel,
            Run.owner.label("scheduler"), Run.device,
        )
        .join(Variant, Variant.id == Run.variant_id)
        .where(Run.status == "running")
        .order_by(Run.id)
    )  # fmt: skip
    for row in connection.execute(query).mappings():
        found[row["experiment_id"]].append({k: v for k, v in row.items() if k != "experiment_id"})
    return found


def ended_badly(db: Engine, limit: int = 8) -> list[dict[str, Any]]:
    """The newest experiments, none of whose runs is still to come, with runs that came to no result or did not fit: experiment_id, title,
    and of the first such run variant, status and reason; `runs` is how many there are."""
    bad = ("failed", "timed_out", "out_of_memory", "cancelled")
    still = select(Run.experiment_id).where(Run.status.in_(OPEN))
    of_experiment = (
        select(Run.experiment_id, func.min(Run.id).label("first"), func.count().label("runs"))
        .where(Run.status.in_(bad), Run.experiment_id.not_in(still))
        .group_by(Run.experiment_id)
        .subquery()
    )
    query = (
        select(Run.experiment_id, Experiment.title, Variant.name.label("variant"), Run.status, Run.reason, of_experiment.c.runs)
        .join(of_experiment, of_experiment.c.first == Run.id)
        .join(Experiment, Experiment.id == Run.experiment_id)
        .join(Variant, Variant.id == Run.variant_id)
        .where(Experiment.source == "local", Experiment.archived.is_(False), visible(db, Experiment.id))
        .order_by(Experiment.created_at.desc(), Experiment.id)
        .limit(limit)
    )
    with reading(db) as connection:
        return [dict(row) for row in connection.execute(query).mappings()]
