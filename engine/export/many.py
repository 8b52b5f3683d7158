"""One row per variant of very many experiments, read from the database a few hundred at a time: values, and no verdicts.

The values are those of engine/cells.py: medians over the rounds that count. Verdicts need every sample; each experiment's own files
have them. Only the metrics that some workload decides by are there, so that the columns are the same whatever is exported.
"""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from sqlalchemy import Engine

from db import many_variants as read
from engine.cells import disturbance, drift_of, point_key, worst
from engine.export import provenance
from engine.export.summary import stack_text
from engine.export.table import Column, Table, columns
from engine.metrics import METRICS
from engine.record import imported_from
from engine.registry import discover
from engine.variant_ref import VariantRef

AT_ONCE = 250
_MIDDLE = columns(
    variant_id="text", variant="text", stack="text", baseline="flag", status="text", reason="text", runs="count", runs_succeeded="count",
)  # fmt: skip

Values = dict[int, list[float | None]]
"""{row id of a variant: the value of each metric}"""


def decisive_metrics() -> list[str]:
    """What the workloads decide by, in the order of the metric table."""
    wanted = {name for workload in discover().workloads.values() for name in workload.decides}
    return [name for name in METRICS if name in wanted]


def many(db: Engine, ids: Sequence[str], link: Callable[[str], str]) -> Table:
    """The variants of these experiments, in their order; an experiment that is deleted meanwhile is left out."""
    metrics = decisive_metrics()
    names = (*provenance.FIRST, *_MIDDLE, *(Column(name, "number") for name in metrics), *provenance.LAST)
    return Table(names, (row for start in range(0, len(ids), AT_ONCE) for row in _batch(db, ids[start : start + AT_ONCE], metrics, link)))


def _batch(db: Engine, ids: Sequence[str], metrics: Sequence[str], link: Callable[[str], str]) -> Iterator[list[Any]]:
    experiments, outcomes = read.experiments(db, ids), _outcomes(read.outcomes(db, ids))
    values = _medians(read.values(db, ids, metrics), metrics)
    nothing: list[float | None] = [None] * len(metrics)
    if disturbed := [variant for variant, found in outcomes.items() if any(row[8] for row in found)]:
        values.update(dict.fromkeys(disturbed, nothing))
        values.update(_careful(db, disturbed, metrics))
    facts = read.environments(db, list({key for found in outcomes.values() for row in found for key in row[4:6] if key}))
    of_experiment: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for variant in read.variants(db, ids):
        of_experiment[variant[1]].append(variant)
    conditions: dict[Any, list[Any]] = {}
    for experiment_id in ids:
        if (experiment := experiments.get(experiment_id)) is None:
            continue
        record = {"experiment": experiment | {"spec": experiment}}
        start = provenance.first(record, link(experiment_id))
        for row_id, _, position, name, baseline, stack in of_experiment[experiment_id]:
            found = outcomes.get(row_id, [])
            key = (experiment_id, *(value for row in found for value in row[4:8]))
            if key not in conditions:
                used = dict.fromkeys(k for row in found for k in row[4:6] if k)
                conditions[key] = provenance.conditions(record, [facts[k] for k in used], [code for row in found for code in row[6:8]])
            text = None if imported_from(record) else _stack(stack)
            yield [
                *start, str(VariantRef(experiment_id, position)), name, text, bool(baseline), *_status(found),
                *values.get(row_id, nothing), *conditions[key],
            ]  # fmt: skip


def _outcomes(rows: Sequence[tuple[Any, ...]]) -> dict[int, list[tuple[Any, ...]]]:
    found: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for row in rows:
        found[row[0]].append(row)
    return found


def _status(found: Sequence[tuple[Any, ...]]) -> list[Any]:
    """status, reason, runs, runs_succeeded: the worst that happened stands for the variant."""
    if len(found) == 1:
        ((_, status, runs, reason, *_),) = found
        return [status, reason, runs, runs if status == "succeeded" else 0]
    status = worst([row[1] for row in found])
    reason = next((row[3] for row in found if row[1] == status), None)
    return [status, reason, sum(row[2] for row in found), sum(row[2] for row in found if row[1] == "succeeded")]


def _medians(rows: Sequence[tuple[int, int, int, str, float | None]], metrics: Sequence[str]) -> Values:
    """Over the runs of each variant, of what each run measured first of a metric: its first point."""
    if not rows:
        return {}
    number = {name: index for index, name in enumerate(metrics)}
    variant, run, measurement = (np.array([row[i] for row in rows]) for i in range(3))
    metric, value = np.array([number[row[3]] for row in rows]), np.array([row[4] for row in rows], dtype=float)
    order = np.lexsort((measurement, metric, run))
    first = np.ones(len(order), dtype=bool)
    first[1:] = (run[order][1:] != run[order][:-1]) | (metric[order][1:] != metric[order][:-1])
    chosen = order[first]
    chosen = chosen[~np.isnan(value[chosen])]
    order = chosen[np.lexsort((value[chosen], metric[chosen], variant[chosen]))]
    variant, metric = variant[order], metric[order]
    starts = np.flatnonzero(np.concatenate([[len(order) > 0], (np.diff(variant) != 0) | (np.diff(metric) != 0)]))
    counts = np.diff(np.concatenate([starts, [len(order)]]))
    middle = (value[order][starts + (counts - 1) // 2] + value[order][starts + counts // 2]) / 2
    found: Values = {row_id: [None] * len(metrics) for row_id in np.unique(variant).tolist()}
    for row_id, index, median in zip(variant[starts].tolist(), metric[starts].tolist(), middle.tolist(), strict=True):
        found[row_id][index] = median
    return found


def _careful(db: Engine, variants: Sequence[int], metrics: Sequence[str]) -> Values:
    """The same where some run was disturbed: without the values that do not count, by the rule of engine/cells.py."""
    runs = {run: {"kind": kind, "details": details} for run, _, kind, details in read.disturbances(db, variants)}
    measured: dict[tuple[int, str], dict[int, tuple[float | None, str]]] = defaultdict(dict)
    for variant, run, name, value, point in read.values_with_points(db, variants, metrics):
        measured[variant, name].setdefault(run, (value, point))
    found: Values = defaultdict(lambda: [None] * len(metrics))
    for (variant, name), by_run in measured.items():
        metric = METRICS[name]
        drifts = {run: drift_of(runs[run], metric.name, point_key(json.loads(point))) for run, (value, point) in by_run.items() if value is not None}
        of_the_work = 2 * sum(drift is not None for drift in drifts.values()) > len(drifts)
        counted = [by_run[run][0] for run, drift in drifts.items() if not disturbance(runs[run], metric, None if of_the_work else drift)]
        if counted:
            found[variant][metrics.index(name)] = statistics.median(value for value in counted if value is not None)
    return found


@lru_cache(maxsize=4096)
def _stack(text: str) -> str:
    return stack_text(json.loads(text))
