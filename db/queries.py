"""What the pages read: records, lists as tidy frames, and cheap tokens that tell whether to read again. Writes nothing.

Lists never load raw samples, evidence or logs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal

import pandas as pd
from sqlalchemy import Connection, Engine, case, func, select, true

from db.session import now, reading
from db.tables import Environment, Experiment, Measurement, Run, Scheduler, Variant, iso
from db.visitor import visible

FORMAT = "llm-tradeoff-lab/1"
GONE = "[None]"
"""The change token of an experiment that is not there, or not there for this visitor: nothing is read for it, and no cache answers."""
STATUSES = ("queued", "running", "succeeded", "failed", "out_of_memory", "timed_out", "cancelled", "unsupported")

_RUN_FIELDS = ("id", "round", "kind", "status", "reason", "device", "attempt", "phase", "cancel", "seconds", "evidence",
               "details", "host_peak_bytes")  # fmt: skip
_LISTED = ("metric", "point", "status", "reason", "value", "n_samples")


def record(db: Engine, experiment_id: str, samples: Literal["none", "quality", "all"] = "quality") -> dict[str, Any] | None:
    """One experiment with its runs as plain JSON data; None if there is none. samples: of which runs the raw ones are loaded."""
    with reading(db) as connection:
        found = connection.execute(select(Experiment.__table__).where(Experiment.id == experiment_id, visible(db, Experiment.id))).mappings().first()
        if found is None:
            return None
        variants = connection.execute(
            select(Variant.id, Variant.name, Variant.stack, Variant.baseline, Variant.position)
            .where(Variant.experiment_id == experiment_id)
            .order_by(Variant.position)
        ).all()
        position = {v.id: v.position for v in variants}
        wanted = Run.__table__.c
        columns = [c for c in wanted if samples == "all" or c.name != "log_tail"]
        rows = connection.execute(select(*columns).where(Run.experiment_id == experiment_id).order_by(Run.id)).mappings().all()
        measured = _measurements(connection, experiment_id, samples)
        runs = [
            {k: row[k] for k in _RUN_FIELDS}
            | {
                "variant": position[row["variant_id"]],
                "started_at": iso(row["started_at"]),
                "ended_at": iso(row["ended_at"]),
                "environment": row["environment_id"],
                "log_tail": row.get("log_tail"),
                "measurements": measured[row["id"]],
            }
            for row in rows
        ]
        used = {r["environment"] for r in runs if r["environment"]}
        facts = connection.execute(select(Environment.id, Environment.facts).where(Environment.id.in_(used))).all()
    experiment = {k: found[k] for k in ("id", "title", "spec", "source", "device", "bound_device")}
    return {
        "format": FORMAT,
        "experiment": experiment | {"created_at": iso(found["created_at"])},
        "variants": [{"name": v.name, "stack": v.stack, "baseline": v.baseline} for v in variants],
        "environments": {e.id: e.facts for e in facts},
        "runs": runs,
    }


def _measurements(connection: Connection, experiment_id: str, samples: str) -> dict[int, list[dict[str, Any]]]:
    by_run: dict[int, list[dict[str, Any]]] = defaultdict(list)
    of_experiment = select(Run.id).where(Run.experiment_id == experiment_id)
    with_samples = {"none": of_experiment.where(~true()), "quality": of_experiment.where(Run.kind == "quality"), "all": of_experiment}
    table = Measurement.__table__.c
    listed = select(*(table[n] for n in ("id", "run_id", *_LISTED))).where(table.run_id.in_(of_experiment)).order_by(table.id)
    raw = select(table.id, table.samples, table.warmups).where(table.run_id.in_(with_samples[samples]))
    loaded = {} if samples == "none" else {r.id: r for r in connection.execute(raw)}
    for row in connection.execute(listed).mappings():
        with_raw = loaded.get(row["id"])
        by_run[row["run_id"]].append(
            {k: row[k] for k in _LISTED}
            | {"samples": with_raw.samples if with_raw else [], "warmups": with_raw.warmups if with_raw else []}
        )
    return by_run


def variants(db: Engine, experiment_ids: Iterable[str]) -> list[dict[str, Any]]:
    """All variants of these experiments, one small query for all: experiment, title, position, name, baseline."""
    columns = (Variant.experiment_id.label("experiment"), Experiment.title, Variant.position, Variant.name, Variant.baseline)
    found = select(*columns).join(Experiment, Experiment.id == Variant.experiment_id).where(Variant.experiment_id.in_(set(experiment_ids)))
    found = found.where(visible(db, Experiment.id))
    with reading(db) as connection:
        return [dict(row) for row in connection.execute(found.order_by(Variant.experiment_id, Variant.position)).mappings()]


def count_experiments(db: Engine) -> int:
    with reading(db) as connection:
        return int(connection.execute(select(func.count()).select_from(Experiment).where(visible(db, Experiment.id))).scalar_one())


def queue(db: Engine, limit: int = 200) -> pd.DataFrame:
    """Running first, then queued in the order in which they will be claimed."""
    query = (
        select(
            Run.id.label("run_id"), Run.experiment_id, Experiment.title, Variant.name.label("variant"), Run.round, Run.kind,
            Run.status, Run.phase, func.coalesce(Run.device, Experiment.bound_device, Experiment.device).label("device"),
            Run.started_at, Run.cancel,
        )
        .join(Experiment, Experiment.id == Run.experiment_id)
        .join(Variant, Variant.id == Run.variant_id)
        .where(Run.status.in_(("queued", "running")), visible(db, Experiment.id))
        .order_by(Run.status.desc(), Run.id)
        .limit(limit)
    )  # fmt: skip
    with reading(db) as connection:
        result = connection.execute(query)
        return pd.DataFrame(result.all(), columns=list(result.keys()))


def schedulers(db: Engine) -> list[dict[str, Any]]:
    """Those announced: id, machine, pid, devices, availability, beat, and `age_seconds` since the last beat by the database's clock."""
    with reading(db) as connection:
        found = connection.execute(select(Scheduler.__table__, now(db).label("now")).order_by(Scheduler.machine, Scheduler.id))
        return [
            {k: s[k] for k in ("id", "machine", "pid", "devices", "availability", "beat")}
            | {"seen_at": iso(s["seen_at"]), "age_seconds": (_naive(s["now"]) - s["seen_at"]).total_seconds()}
            for s in found.mappings()
        ]


def change_token(db: Engine, experiment_id: str | None = None) -> str:
    """Changes whenever the queue does, what is queued or runs and how far it is, and when somebody edits what is said of an experiment.

    With an experiment: changes only when one of its runs begins or ends, somebody edits what is said of it, or the whole of it
    is deleted and stored again: that is, when its page changes.
    """
    if experiment_id is not None:
        return change_tokens(db, [experiment_id])[experiment_id]
    of_runs = select(Run.status, func.count(), func.sum(Run.beat), func.min(Run.id), func.max(Run.id))
    open_runs = of_runs.where(Run.status.in_(("queued", "running"))).group_by(Run.status)
    with reading(db) as connection:
        number = connection.execute(select(func.count(), func.max(Experiment.created_at), func.sum(Experiment.edits)).select_from(Experiment)).one()
        return str([tuple(map(str, number)), sorted(tuple(map(str, row)) for row in connection.execute(open_runs))])


def change_tokens(db: Engine, experiment_ids: Sequence[str]) -> dict[str, str]:
    """{id: its change token}, GONE of those that do not exist; in two statements, however many they are."""
    # SQLite gives the ids of deleted rows away again, so an id alone does not tell a new record from the old one
    facts = (Run.status, func.count(), func.min(Run.id), func.max(Run.ended_at), func.sum(Run.seconds))
    ended = select(Run.experiment_id, *facts).where(Run.experiment_id.in_(experiment_ids)).group_by(Run.experiment_id, Run.status)
    edits = select(Experiment.id, Experiment.edits).where(Experiment.id.in_(experiment_ids), visible(db, Experiment.id))
    found: dict[str, list[Any]] = {experiment_id: [] for experiment_id in experiment_ids}
    with reading(db) as connection:
        edited = {row.id: row.edits for row in connection.execute(edits)}
        for experiment_id, *row in connection.execute(ended):
            found[experiment_id].append(tuple(map(str, row)))
    return {experiment_id: str([edited[experiment_id], *sorted(rows)]) if experiment_id in edited else GONE for experiment_id, rows in found.items()}


def log_tail(db: Engine, run_id: int) -> str:
    """The last lines that a run printed; empty if it printed nothing."""
    with reading(db) as connection:
        return connection.execute(select(Run.__table__.c.log_tail).where(Run.id == run_id, visible(db, Run.experiment_id))).scalar() or ""


def count_samples(db: Engine, experiment_id: str) -> int:
    """How many rows the table of an experiment's raw samples has: one per sample, and one for each point or run that gave none."""
    raw = func.json_array_length(Measurement.samples) + func.json_array_length(Measurement.warmups)
    rows = func.sum(case((raw > 0, raw), else_=1))
    # a run without a measurement joins to one row of nulls, whose length is null: also one row
    counted = select(rows).select_from(Run).outerjoin(Measurement, Measurement.run_id == Run.id).where(Run.experiment_id == experiment_id)
    counted = counted.where(visible(db, Run.experiment_id))
    with reading(db) as connection:
        return int(connection.execute(counted).scalar() or 0)


def _naive(moment: datetime | str) -> datetime:
    """SQLite answers its clock as text."""
    return datetime.fromisoformat(moment) if isinstance(moment, str) else moment
