"""Lists of experiments as a Filter wants them: a page of rows, how many there are, facets with counts. Few statements, however many
rows there are; never reads samples, evidence, logs or specs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pandas as pd
from sqlalchemy import (
    CTE,
    Connection,
    Engine,
    Row,
    Select,
    String,
    and_,
    case,
    cast,
    func,
    literal,
    select,
    true,
    union_all,
)
from sqlalchemy.sql.elements import ColumnElement

from db.filter import FACETS, STATES, Filter, conditions, device, in_state, page_of
from db.queries import STATUSES
from db.session import reading
from db.tables import Experiment, ExperimentTag, ExperimentTechnique, Measurement, Run, Variant
from db.visitor import visible

COLUMNS = ("id", "title", "model", "workload", "device", "hardware", "source", "owner", "archived", "created_at", "variants", "techniques",
           "tags", "runs", *STATUSES)  # fmt: skip
AT_ONCE = 500
_IN_CANDIDATES = ("model", "workload", "device", "owner", "source")


@dataclass(frozen=True)
class Facets:
    """counts: {facet: {value: how many experiments there would be with it}}, most first, each counted without its own filter."""

    total: int
    counts: dict[str, dict[str, int]]


def experiments(db: Engine, wanted: Filter) -> pd.DataFrame:
    """One page of rows with COLUMNS: techniques and tags are tuples, `device` is the one bound, else the one asked for."""
    with reading(db) as connection:
        return _rows(connection, page_of(select(Experiment.id).where(visible(db, Experiment.id)), wanted))


def count(db: Engine, wanted: Filter) -> int:
    """How many match, on all pages."""
    with reading(db) as connection:
        return int(connection.execute(select(func.count()).select_from(Experiment).where(*_conditions(db, wanted).values())).scalar_one())


def all_ids(db: Engine, wanted: Filter) -> list[str]:
    """Of all that match, in order, whatever page is wanted."""
    with reading(db) as connection:
        return list(connection.execute(page_of(select(Experiment.id).where(visible(db, Experiment.id)), replace(wanted, page=1, size=None))).scalars())


def count_variants(db: Engine, wanted: Filter) -> int:
    """How many variants all that match have."""
    found = select(func.count()).select_from(Variant).join(Experiment, Experiment.id == Variant.experiment_id)
    with reading(db) as connection:
        return int(connection.execute(found.where(*_conditions(db, wanted).values())).scalar_one())


def all_experiments(db: Engine, wanted: Filter) -> Iterator[pd.DataFrame]:
    """Every row that matches, whatever page is wanted, in frames of at most AT_ONCE. No transaction is open between two of them."""
    ids = all_ids(db, wanted)
    for first in range(0, len(ids), AT_ONCE):
        with reading(db) as connection:
            yield _rows(connection, ids[first : first + AT_ONCE])


def facets(db: Engine, wanted: Filter) -> Facets:
    """One statement: the rows are filtered once, then counted for each facet."""
    by_name = _conditions(db, wanted)
    flags = {name: by_name[name] for name in (*FACETS, "archived") if name in by_name}
    candidates = (
        select(
            Experiment.id, Experiment.model, Experiment.workload, device.label("device"), Experiment.owner, Experiment.source,
            Experiment.archived, *(condition.label(f"ok_{name}") for name, condition in flags.items()),
        )
        .where(*(condition for name, condition in by_name.items() if name not in flags))
        .cte("candidates")
    )  # fmt: skip
    counts: dict[str, dict[str, int]] = {name: {} for name in (*FACETS, "archived")}
    total = 0
    with reading(db) as connection:
        for facet, value, number in connection.execute(_counted(candidates, list(flags))):
            if facet == "total":
                total = number
            elif value is not None and number:
                counts[facet][value] = number
    most_first = {name: dict(sorted(found.items(), key=lambda item: (-item[1], item[0]))) for name, found in counts.items()}
    return Facets(total, most_first | {"status": {s: counts["status"][s] for s in STATES if s in counts["status"]}})


def _counted(candidates: CTE, flags: Sequence[str]) -> Any:
    columns = candidates.c

    def others(facet: str) -> ColumnElement[bool]:
        return and_(true(), *(columns[f"ok_{name}"] for name in flags if name != facet))

    def counted(facet: str, value: ColumnElement[Any]) -> Any:
        return select(literal(facet), cast(value, String), func.count()).where(others(facet))

    parts = [counted("total", literal(None)).select_from(candidates)]
    parts += [counted(name, columns[name]).select_from(candidates).group_by(columns[name]) for name in _IN_CANDIDATES]
    archived = case((columns.archived, "yes"), else_="no")
    parts.append(counted("archived", archived).select_from(candidates).group_by(columns.archived))
    for name, table, column in (("technique", ExperimentTechnique, ExperimentTechnique.technique), ("tag", ExperimentTag, ExperimentTag.tag)):
        joined = candidates.join(table, table.experiment_id == columns.id)
        parts.append(counted(name, column.expression).select_from(joined).group_by(column))
    parts += [counted("status", literal(state)).select_from(candidates).where(in_state(state, columns.id)) for state in STATES]
    return union_all(*parts)


def measured_values(db: Engine, experiment_ids: Sequence[str], metrics: Sequence[str]) -> list[Row[Any]]:
    """One row per run x metric x point that has a value, in the order of measuring: experiment_id, variant, position, baseline, metric,
    point (its JSON text), value, contended and throttled (what disturbed the run, None mostly)."""
    columns = (
        Run.experiment_id, Variant.name.label("variant"), Variant.position, Variant.baseline, Measurement.metric,
        cast(Measurement.point, String).label("point"), Measurement.value,
        Run.details["contended"].as_string().label("contended"), Run.details["throttled"].as_string().label("throttled"),
    )  # fmt: skip
    found = (
        select(*columns)
        .join(Run, Run.id == Measurement.run_id)
        .join(Variant, Variant.id == Run.variant_id)
        .where(Run.experiment_id.in_(experiment_ids), Run.status.in_(("succeeded", "out_of_memory")), Measurement.metric.in_(metrics))
        .where(Measurement.status == "succeeded", Measurement.value.is_not(None))
        .order_by(Measurement.id)
    )
    with reading(db) as connection:
        return list(connection.execute(found))


def counts_without(db: Engine, wanted: Filter) -> dict[str, int]:
    """{filter: how many experiments there would be if this one were dropped}, for every filter that is set."""
    by_name = conditions(wanted)
    names = [name for name in by_name if name != "known_until"]
    if not names:
        return {}
    dropped = [func.sum(case((and_(true(), *(c for n, c in by_name.items() if n != name)), 1), else_=0)) for name in names]
    with reading(db) as connection:
        found = connection.execute(select(*dropped).select_from(Experiment).where(visible(db, Experiment.id))).one()
    return {name: int(number or 0) for name, number in zip(names, found, strict=True)}


def newest(db: Engine) -> datetime | None:
    """When the last experiment came into the database; None where there is none."""
    with reading(db) as connection:
        return connection.execute(select(func.max(Experiment.stored_at)).where(visible(db, Experiment.id))).scalar()


def arrived_since(db: Engine, wanted: Filter, moment: datetime) -> int:
    """How many experiments that match came into the database after that moment."""
    matching = _conditions(db, replace(wanted, known_until=None))
    with reading(db) as connection:
        return int(connection.execute(select(func.count()).where(Experiment.stored_at > moment, *matching.values())).scalar_one())


def tags(db: Engine) -> list[str]:
    """Every tag that some experiment has, in order."""
    used = select(ExperimentTag.tag).where(visible(db, ExperimentTag.experiment_id)).distinct().order_by(ExperimentTag.tag)
    with reading(db) as connection:
        return list(connection.execute(used).scalars())


def _conditions(db: Engine, wanted: Filter) -> dict[str, ColumnElement[bool]]:
    return conditions(wanted) | {"visible": visible(db, Experiment.id)}


def _rows(connection: Connection, which: Select[Any] | Sequence[str]) -> pd.DataFrame:
    ids = list(which) if not isinstance(which, Select) else list(connection.execute(which).scalars())
    listed = select(
        Experiment.id, Experiment.title, Experiment.model, Experiment.workload, func.coalesce(Experiment.bound_device, Experiment.device).label("device"),
        Experiment.hardware, Experiment.source, Experiment.owner, Experiment.archived, Experiment.created_at,
    )  # fmt: skip
    found = {row["id"]: dict(row) for row in connection.execute(listed.where(Experiment.id.in_(ids))).mappings()}
    counted = select(Run.experiment_id, Run.status, func.count()).where(Run.experiment_id.in_(ids)).group_by(Run.experiment_id, Run.status)
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for experiment_id, status, number in connection.execute(counted):
        counts[experiment_id][status] = number
    variants = select(Variant.experiment_id, func.count()).where(Variant.experiment_id.in_(ids)).group_by(Variant.experiment_id)
    number_of_variants = {experiment_id: number for experiment_id, number in connection.execute(variants)}
    techniques = _names(connection, ExperimentTechnique, ids)
    tags = _names(connection, ExperimentTag, ids)
    rows = [
        found[i] | {"variants": number_of_variants.get(i, 0), "techniques": techniques[i], "tags": tags[i],
                    "runs": sum(counts[i].values()), **{s: counts[i].get(s, 0) for s in STATUSES}}
        for i in ids if i in found
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    for name in ("owner", "hardware"):  # else pandas makes a missing text NaN
        frame[name] = pd.Series([row[name] for row in rows], dtype="object")
    return frame


def _names(connection: Connection, table: type[ExperimentTag] | type[ExperimentTechnique], ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    name = table.tag if table is ExperimentTag else table.technique  # type: ignore[union-attr]
    found: dict[str, tuple[str, ...]] = defaultdict(tuple)
    for experiment_id, value in connection.execute(select(table.experiment_id, name).where(table.experiment_id.in_(ids)).order_by(name)):
        found[experiment_id] += (value,)
    return found
