"""What a record says of its variants, as checks ask for it: stacks, evidence, environment, measured values. Judges nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from engine.analysis import Row, rows
from engine.metrics import METRICS
from engine.record import Record
from engine.registry import discover
from engine.workload import Workload


def workload_of(record: Record) -> Workload | None:
    """With its options, defaults filled in; None where this version does not know the workload or an option of it."""
    spec = record["experiment"]["spec"]["workload"]
    known = discover().workloads.get(spec["name"])
    try:
        return known.model_validate(spec["options"]) if known else None
    except ValidationError:
        return None


@dataclass(frozen=True)
class Facts:
    """One experiment. A variant is its position."""

    record: Record

    @property
    def positions(self) -> range:
        return range(len(self.record["variants"]))

    @property
    def model(self) -> dict[str, Any]:
        return dict(self.record["experiment"]["spec"]["model"])

    @cached_property
    def workload(self) -> Workload | None:
        return workload_of(self.record)

    def option(self, name: str) -> Any:
        """An option of the workload; None where it has no such option."""
        return getattr(self.workload, name, None)

    @property
    def environment(self) -> dict[str, Any]:
        """Of the first run that reported one; runs of one experiment differ in a technique's own packages alone."""
        used = next((r["environment"] for r in self.record["runs"] if r["environment"]), None)
        return dict(self.record["environments"].get(used, {}))

    @cached_property
    def rows(self) -> list[Row]:
        return rows(self.record)

    @cached_property
    def measured(self) -> set[int]:
        """The variants that have any value; all of them where nothing was measured yet."""
        return {r.position for r in self.rows if r.value is not None} or set(self.positions)

    def names(self, positions: list[int]) -> tuple[str, ...]:
        return tuple(self.record["variants"][i]["name"] for i in positions)

    def where(self, holds: Callable[[int], bool]) -> list[int]:
        return [i for i in self.positions if holds(i)]

    def technique(self, position: int, name: str) -> dict[str, Any] | None:
        """Options of a technique in a variant's stack; None where it is not there."""
        return next((dict(t["options"]) for t in self.record["variants"][position]["stack"] if t["technique"] == name), None)

    def uses(self, position: int, *names: str) -> bool:
        return any(t["technique"] in names for t in self.record["variants"][position]["stack"])

    def loaded(self, position: int) -> dict[str, Any]:
        """What the loaded model showed: layer classes, number types, attention, TF32. Empty until a run has shown it."""
        shown: dict[str, Any] = next((r["evidence"] for r in self.record["runs"] if r["variant"] == position and r["evidence"]), {})
        return dict(shown.get("model", {}).get("facts", {}))

    def only_float32(self, position: int) -> bool:
        """Whether all parameters are float32 and nothing casts the arithmetic to a shorter type."""
        return set(self.loaded(position).get("parameter_elements_by_dtype", ())) == {"float32"} and not self.uses(
            position, "amp_bfloat16", "amp_float16"
        )

    def of(self, position: int, metric: str) -> list[Row]:
        """The variant's rows of a metric, in order of points."""
        return [r for r in self.rows if r.position == position and r.metric == metric]

    def values(self, position: int, metric: str) -> list[float]:
        return [r.value for r in self.of(position, metric) if r.value is not None]

    def compared(self, position: int, metric: str) -> str:
        """', decode throughput 0.44 x float32 at batch=16'; empty where there is no ratio. At the last point that has one."""
        row = next((r for r in reversed(self.of(position, metric)) if r.ratio is not None), None)
        if row is None:
            return ""
        baseline = next(v["name"] for v in self.record["variants"] if v["baseline"])
        return f", {METRICS[metric].label.lower()} {row.ratio:.2f} x {baseline}" + (f" at {row.point_label}" if row.point_label else "")

    def value_text(self, position: int, metric: str) -> str:
        """The largest value over the points, with its unit; 'not measured' where there is none."""
        return METRICS[metric].format(max(self.values(position, metric), default=None))
