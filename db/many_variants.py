"""What a table of very many variants is made from, read for some hundred experiments at a time and in as few rows as the database can give.

Rows come as the driver has them, without a wrapper each: with a million measurements that is most of the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Engine, String, case, cast, func, select

from db.session import reading
from db.tables import Environment, Experiment, Measurement, Run, Variant, iso

_DISTURBED = ("contended", "throttled", "drifting")
_COUNTING = ("succeeded", "out_of_memory")
_VALUE = case((Measurement.status == "succeeded", Measurement.value))


def variants(db: Engine, ids: Sequence[str]) -> list[tuple[Any, ...]]:
    """(row id, experiment id, position, name, whether it is the baseline, stack as JSON text), of each experiment by position."""
    columns = (Variant.id, Variant.experiment_id, Variant.position, Variant.name, Variant.baseline, cast(Variant.stack, String))
    return _raw(db, select(*columns).where(Variant.experiment_id.in_(ids)).order_by(Variant.experiment_id, Variant.position))


def experiments(db: Engine, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """{id: title, source, device, bound_device, created_at, and of its spec model, workload, imported, rounds and seed}."""
    parts = {name: Experiment.spec[name].as_json().label(name) for name in ("model", "workload", "imported", "rounds", "seed")}
    columns = (Experiment.id, Experiment.title, Experiment.source, Experiment.device, Experiment.bound_device, Experiment.created_at)
    with reading(db) as connection:
        found = connection.execute(select(*columns, *parts.values()).where(Experiment.id.in_(ids))).mappings()
        return {row["id"]: {**row, "created_at": iso(row["created_at"])} for row in found}


def outcomes(db: Engine, ids: Sequence[str]) -> list[tuple[Any, ...]]:
    """(variant id, status, runs, a reason, first and last environment, first and last commit, whether one was disturbed) by status."""
    code = _detail("code")
    disturbed = func.max(case((func.coalesce(*map(_detail, _DISTURBED)).is_not(None), 1), else_=0))
    columns = (
        Run.variant_id, Run.status, func.count(), func.min(Run.reason), func.min(Run.environment_id), func.max(Run.environment_id),
        func.min(code), func.max(code), disturbed,
    )  # fmt: skip
    return _raw(db, select(*columns).where(Run.experiment_id.in_(ids)).group_by(Run.variant_id, Run.status))


def disturbances(db: Engine, variant_ids: Sequence[int]) -> list[tuple[int, int, str, dict[str, Any]]]:
    """(run id, variant id, kind, details) of the runs of these variants."""
    with reading(db) as connection:
        found = connection.execute(select(Run.id, Run.variant_id, Run.kind, Run.details).where(Run.variant_id.in_(variant_ids)))
        return [(run, variant, kind, details or {}) for run, variant, kind, details in found]


def values(db: Engine, ids: Sequence[str], metrics: Sequence[str]) -> list[tuple[int, int, int, str, float | None]]:
    """(variant id, run id, measurement id, metric, value or None) of runs whose values count, in no order."""
    found = (
        select(Run.variant_id, Measurement.run_id, Measurement.id, Measurement.metric, _VALUE)
        .join(Measurement, Measurement.run_id == Run.id)
        .where(Run.experiment_id.in_(ids), Run.status.in_(_COUNTING), Measurement.metric.in_(metrics))
    )
    return _raw(db, found)


def values_with_points(db: Engine, variant_ids: Sequence[int], metrics: Sequence[str]) -> list[tuple[int, int, str, float | None, str]]:
    """(variant id, run id, metric, value or None, point as JSON text), in the order of measuring."""
    found = (
        select(Run.variant_id, Measurement.run_id, Measurement.metric, _VALUE, cast(Measurement.point, String))
        .join(Measurement, Measurement.run_id == Run.id)
        .where(Run.variant_id.in_(variant_ids), Run.status.in_(_COUNTING), Measurement.metric.in_(metrics))
        .order_by(Measurement.id)
    )
    return _raw(db, found)


def environments(db: Engine, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
    """{id: facts}."""
    with reading(db) as connection:
        return {key: facts for key, facts in connection.execute(select(Environment.id, Environment.facts).where(Environment.id.in_(keys)))}


def _detail(name: str) -> ColumnElement[str]:
    found: ColumnElement[str] = Run.details[name].as_string()
    return found


def _raw(db: Engine, statement: Any) -> list[Any]:
    with reading(db) as connection:
        cursor = connection.execute(statement).cursor
        assert cursor is not None
        return list(cursor.fetchall())
