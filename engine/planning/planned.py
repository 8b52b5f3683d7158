"""The planner's prediction beside the measured peak of every run: computed from a record when it is looked at, so old results have it too.

GPU runs only: on a CPU the measured peak is the process's own, with its libraries and its heap, which no formula here describes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from engine.cells import point_label
from engine.planning.planner import Plan, plan
from engine.record import Record
from engine.specs import ExperimentSpec

PEAK = "peak_memory_bytes"


@dataclass(frozen=True)
class Prediction:
    """One variant at one point. plan: None where there is no formula, with the reason. measured: median over rounds; None where there is
    no value, with its status in `status`."""

    position: int
    variant: str
    point_label: str
    plan: Plan | None
    reason: str | None
    measured: float | None
    status: str
    capacity_bytes: int

    @property
    def error(self) -> float | None:
        """(predicted - measured) / measured."""
        return None if self.plan is None or not self.measured else self.plan.peak_memory_bytes / self.measured - 1


def predictions(record: Record, rows: Iterable[Any]) -> list[Prediction]:
    """For every variant and point whose peak was asked for on a GPU, in their order. rows: of engine.analysis, as
    Row or as tuples of its summary."""
    try:
        spec = ExperimentSpec.model_validate(record["experiment"]["spec"])
        loads = {point_label(load.point): load for load in spec.workload.build().loads()}
    except ValueError:  # written by a version that knew other techniques
        return []
    return list(_predictions(record, rows, spec, loads))


def _predictions(record: Record, rows: Iterable[Any], spec: ExperimentSpec, loads: dict[str, Any]) -> Iterator[Prediction]:
    capacities = {i: _capacity(record, i) for i in range(len(record["variants"]))}
    stacks = {variant.name: variant for variant in spec.variants}
    for row in rows:
        capacity = capacities[row.position]
        if row.metric != PEAK or row.point_label not in loads or capacity is None or row.variant not in stacks:
            continue
        found, reason = None, None
        try:
            found = plan(spec.model, stacks[row.variant].build(), loads[row.point_label], _ranks(record, row.position))
        except ValueError as error:
            reason = str(error)
        measured = row.value if row.value == row.value else None  # a frame's missing number is NaN
        yield Prediction(row.position, row.variant, row.point_label, found, reason, measured, row.status, capacity)


def _runs(record: Record, position: int) -> Iterator[dict[str, Any]]:
    return (run for run in record["runs"] if run["variant"] == position and run["kind"] == "speed")


def _capacity(record: Record, position: int) -> int | None:
    """Bytes of the GPU that a variant was measured on; None on a CPU, or where no run told."""
    for run in _runs(record, position):
        facts = record["environments"].get(run["environment"]) or {}
        if facts.get("device_kind") == "cuda" and facts.get("device_memory_bytes"):
            return int(facts["device_memory_bytes"])
    return None


def _ranks(record: Record, position: int) -> int:
    """Processes of the group that really formed, as its evidence says."""
    for run in _runs(record, position):
        for shown in (run["evidence"] or {}).values():
            if count := (shown.get("facts") or {}).get("processes"):
                return int(count)
    return 1
