"""Cuts a record into cells: what each run of one variant gave for one metric at one point.

Decides which numbers count and says why others do not; computes nothing from them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.comparability import same_but_for_layers
from engine.measurement import Point, Status
from engine.metrics import METRICS, Metric
from engine.record import Record, imported_from
from engine.registry import discover

NOT_MEASURED = Status.NOT_MEASURED.value
# What every speed run reports first; stands for the run where nothing at all was measured.
_ALWAYS_MEASURED = "weight_bytes"
_WORST_FIRST = (
    Status.FAILED, Status.TIMED_OUT, Status.CANCELLED, Status.OUT_OF_MEMORY, Status.UNSUPPORTED,
    Status.RUNNING, Status.QUEUED, NOT_MEASURED, Status.SUCCEEDED,
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What one run gave for one cell.

    `value` is None unless the number counts; `left_out` says why a measured one does not. `environment` are its facts without
    a technique's own packages, equal where runs may be compared.
    """

    round: int
    status: str
    reason: str | None
    value: float | None
    n_samples: int
    samples: tuple[float, ...]
    device: str | None
    environment: Mapping[str, Any] | None
    protocol: Any
    left_out: str | None = None


@dataclass(frozen=True)
class Cell:
    """One metric at one point, over all variants: `outcomes[position]` in order of rounds."""

    metric: Metric
    point: Point
    outcomes: tuple[tuple[Outcome, ...], ...]


def worst(statuses: list[str]) -> str:
    """The status that a reader must know of first; 'not measured' if there is none."""
    return min(statuses, key=_WORST_FIRST.index, default=NOT_MEASURED)


def point_label(point: Point) -> str:
    """'batch=1, prompt_tokens=128'."""
    return ", ".join(f"{k}={v}" for k, v in point.items())


def why_empty(outcomes: Sequence[Outcome]) -> tuple[str, str | None]:
    """(status, reason) of a variant that has no value in a cell: the worst that happened, never 'succeeded'."""
    status = worst([o.status for o in outcomes])
    if status == Status.SUCCEEDED:
        return NOT_MEASURED, left_out(outcomes)
    return status, next((o.reason for o in outcomes if o.status == status), "no run yet")


def left_out(outcomes: Sequence[Outcome]) -> str | None:
    """'1 of 3 rounds left out: 2 other processes on the GPU': ended rounds that do not count, one clause per cause."""
    causes: dict[str, int] = {}
    for o in outcomes:
        if o.left_out is None and o.status in (Status.SUCCEEDED, NOT_MEASURED):
            continue
        what, why = ("left out", o.left_out) if o.left_out else (o.status.replace("_", " "), o.reason)
        cause = f"{what}: {why}" if why else what
        causes[cause] = causes.get(cause, 0) + 1
    n = len(outcomes)
    return "; ".join(f"{count} of {n} round{'s' * (n != 1)} {cause}" for cause, count in causes.items()) or None


def cells(record: Record) -> list[Cell]:
    """Every metric x point that any run has, in the order of the metric table and of first appearance.

    Speed metrics come from the speed runs, quality and fidelity from the quality runs. Where such runs exist but none
    has measured anything yet, one cell stands for them, so that no variant is without a row: the quality is the workload's.
    Raises ValueError for a metric that this version does not know.
    """
    points: dict[str, dict[str, Point]] = {}
    for run in record["runs"]:
        for m in run["measurements"]:
            if m["metric"] not in METRICS:
                raise ValueError(f"metric: {m['metric']!r} is not known to this version; it knows {', '.join(METRICS)}")
            points.setdefault(m["metric"], {}).setdefault(point_key(m["point"]), m["point"])
    kinds = {run["kind"] for run in record["runs"]}
    if imported_from(record) is not None:  # nothing is missing in what another tool wrote
        kinds = set()
    if "speed" in kinds and not any(_run_kind(METRICS[name]) == "speed" for name in points):
        points[_ALWAYS_MEASURED] = {"{}": {}}
    if "quality" in kinds:
        for name in (n for n in _expected_quality(record) if n not in points):
            points[name] = {"{}": {}}
    variants = range(len(record["variants"]))
    environments = same_but_for_layers(record)
    return [
        Cell(metric, point, tuple(_outcomes(record, environments, position, metric, key) for position in variants))
        for name, metric in METRICS.items()
        for key, point in points.get(name, {}).items()
    ]


def _expected_quality(record: Record) -> list[str]:
    """What the quality runs of this record's workload measure; a language model's where this version lacks the workload."""
    workload = discover().workloads.get(record["experiment"]["spec"].get("workload", {}).get("name", "generation"))
    names = workload.quality_metrics if workload else ("perplexity",)
    return [n for n in names if METRICS[n].kind == "quality"] or list(names[:1])


def _run_kind(metric: Metric) -> str:
    return "quality" if metric.kind in ("quality", "fidelity") else "speed"


def point_key(point: Point) -> str:
    """Equal for equal points, whatever the order of their numbers."""
    return json.dumps(point, sort_keys=True)


def _outcomes(
    record: Record, environments: Mapping[str, Mapping[str, Any]], position: int, metric: Metric, key: str
) -> tuple[Outcome, ...]:
    kind = _run_kind(metric)
    runs = {run["round"]: run for run in record["runs"] if run["variant"] == position and run["kind"] == kind}
    measured = {r: _measured(run, metric.name, key) for r, run in runs.items()}
    drifts = {r: drift_of(runs[r], metric.name, key) for r, m in measured.items() if m is not None and m["value"] is not None}
    # What most rounds show belongs to the work, batches that grow longer for example, and not to one run.
    of_the_work = 2 * sum(drift is not None for drift in drifts.values()) > len(drifts)
    return tuple(
        _outcome(
            runs[r], measured[r], environments.get(runs[r]["environment"]), disturbance(runs[r], metric, None if of_the_work else drifts.get(r))
        )
        for r in sorted(runs)
    )


def _measured(run: dict[str, Any], name: str, key: str) -> dict[str, Any] | None:
    """What a run says of one metric at one point."""
    return next((m for m in run["measurements"] if m["metric"] == name and point_key(m["point"]) == key), None)


def drift_of(run: dict[str, Any], name: str, key: str) -> str | None:
    """What engine/drift.py found in this run for one metric at one point, in words."""
    found = (run["details"] or {}).get("drifting") if run["kind"] == "speed" else None
    known = [d for d in found if isinstance(d, dict)] if isinstance(found, list) else []  # details of others may hold anything
    change = next((d.get("change") for d in known if d.get("metric") == name and point_key(d.get("point", {})) == key), None)
    return f"drifting, {change:+.0%} from the first to the last third of its samples" if isinstance(change, int | float) else None


def disturbance(run: dict[str, Any], metric: Metric, drift: str | None) -> str | None:
    """Why what a run measured does not count. Others on the machine change times and memory, a hot GPU and a drift change
    times, heat also energy; none of it changes the model's outputs, so quality always counts."""
    if run["kind"] != "speed":
        return None
    details = run["details"] or {}
    heat = details.get("throttled") if metric.kind in ("speed", "energy") else None
    causes = (details.get("contended"), heat, drift if metric.kind == "speed" else None)
    return ", ".join(str(c) for c in causes if c) or None


def _outcome(
    run: dict[str, Any], measurement: dict[str, Any] | None, environment: Mapping[str, Any] | None, disturbed: str | None
) -> Outcome:
    status, reason = _status(run, measurement)
    counted = measurement if status == Status.SUCCEEDED and not disturbed else None
    return Outcome(
        round=run["round"], status=status, reason=reason,
        value=float(counted["value"]) if counted else None,
        n_samples=counted["n_samples"] if counted else 0,
        samples=tuple(counted["samples"]) if counted else (),
        device=run["device"], environment=environment, protocol=(run["details"] or {}).get("quality"),
        left_out=disturbed if status == Status.SUCCEEDED else None,
    )  # fmt: skip


def _status(run: dict[str, Any], measurement: dict[str, Any] | None) -> tuple[str, str | None]:
    """A point measured before the process ran out of memory counts. What a failed or stopped run left does not."""
    status = Status(run["status"])
    if not status.ended:
        return NOT_MEASURED, f"{status}: {run['phase']}" if run["phase"] else str(status)
    if status.is_result and measurement is not None:
        return str(measurement["status"]), measurement["reason"]
    if status is Status.SUCCEEDED:
        return NOT_MEASURED, "the run did not report it"
    return str(status), run["reason"]
