"""Which metrics decide in an experiment: what its workload names for its verdict table, sorted by what they are for. Draws nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.metrics import METRICS, Kind
from engine.record import Record
from engine.registry import discover


@dataclass(frozen=True)
class Decisive:
    """names: the verdict table's columns. speed and memory are the usual axes; quality stands beside every speed."""

    names: tuple[str, ...]

    @property
    def speed(self) -> str:
        return self._first("speed") or self.names[0]

    @property
    def memory(self) -> str:
        return self._first("memory") or self.names[-1]

    @property
    def quality(self) -> str | None:
        return self._first("quality") or self._first("fidelity")

    @property
    def axes(self) -> tuple[str, str]:
        """Memory across and speed up."""
        return self.memory, self.speed

    def _first(self, kind: Kind) -> str | None:
        return next((name for name in self.names if METRICS[name].kind == kind), None)


def decisive(record: Record) -> Decisive:
    """By the experiment's workload; one that this version does not know is judged by whatever it measured."""
    known = discover().workloads.get(record["experiment"]["spec"]["workload"]["name"])
    if known is not None:
        return Decisive(known.decides)
    return measured_names([m["metric"] for run in record["runs"] for m in run["measurements"]])


def measured_names(names: Sequence[str]) -> Decisive:
    return Decisive(tuple(name for name in METRICS if name in set(names)) or tuple(METRICS))
