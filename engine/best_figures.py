"""The two figures that stand for an experiment in a list: its fastest and its smallest variant, each with its quality.

Medians over rounds, as on the experiment's page, of runs that nothing disturbed; no verdict is drawn here.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.decisive import Decisive
from engine.metrics import METRICS
from engine.registry import discover
from engine.specs import control_name


@dataclass(frozen=True)
class Best:
    """The best variant by one metric. quality: its metric and value; value None where it was not measured, metric None where there is none."""

    variant: str
    position: int
    metric: str
    value: float
    quality_metric: str | None
    quality: float | None


@dataclass(frozen=True)
class BestFigures:
    fastest: Best | None = None
    smallest: Best | None = None


def metrics_for(workloads: Iterable[str]) -> list[str]:
    """What must be read for experiments with these workloads."""
    return sorted({name for workload in workloads for name in _wanted(workload)})


def best_figures(rows: Iterable[Sequence[Any]], workloads: Mapping[str, str]) -> dict[str, BestFigures]:
    """rows: db.listing.measured_values; workloads: {experiment id: workload}. An experiment without a value has no entry."""
    found: dict[str, _Values] = defaultdict(_Values)
    for experiment_id, *rest in rows:
        found[experiment_id].add(*rest)
    return {i: _of_one(values, _decides(workloads[i])) for i, values in found.items()}


@dataclass
class _Values:
    """What one experiment measured: values by metric, at the metric's first point, and position."""

    names: dict[int, str] = field(default_factory=dict)
    baseline: str | None = None
    points: dict[str, str] = field(default_factory=dict)
    by_metric: dict[str, dict[int, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))

    def add(
        self, variant: str, position: int, baseline: bool, metric: str, point: str, value: float, contended: str | None, throttled: str | None
    ) -> None:
        self.names[position] = variant
        if baseline:
            self.baseline = variant
        kind = METRICS[metric].kind
        disturbed = kind not in ("quality", "fidelity") and (contended or (throttled and kind in ("speed", "energy")))
        if self.points.setdefault(metric, point) == point and not disturbed:
            self.by_metric[metric][position].append(value)

    def medians(self, metric: str) -> dict[int, float]:
        """The baseline measured again is no choice."""
        again = control_name(self.baseline) if self.baseline is not None else None
        return {p: statistics.median(values) for p, values in self.by_metric.get(metric, {}).items() if self.names[p] != again}


def _wanted(workload: str) -> tuple[str, ...]:
    decides = _decides(workload)
    return () if decides is None else tuple(name for name in (decides.speed, decides.memory, decides.quality) if name)


def _decides(workload: str) -> Decisive | None:
    known = discover().workloads.get(workload)
    return None if known is None else Decisive(known.decides)


def _of_one(values: _Values, decides: Decisive | None) -> BestFigures:
    if decides is None:
        return BestFigures()
    return BestFigures(_best(values, decides.speed, decides.quality), _best(values, decides.memory, decides.quality))


def _best(values: _Values, metric: str, quality_metric: str | None) -> Best | None:
    medians = values.medians(metric)
    if not medians:
        return None
    choose = max if METRICS[metric].higher_is_better else min
    position = choose(medians, key=medians.__getitem__)
    quality = values.medians(quality_metric).get(position) if quality_metric else None
    return Best(values.names[position], position, metric, medians[position], quality_metric, quality)
