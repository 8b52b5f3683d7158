"""A comparison as the page shows it: its rows as frames, what its controls offer, and what they come to. Draws nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from dashboard.charts import scaling
from dashboard.charts.style import family_of, scale
from dashboard.controls import Controls, Offer, meant
from engine.analysis import Row, frame
from engine.answers.comparison import Column, Comparison, Split
from engine.answers.outputs import Output, answer_of, together
from engine.metrics import METRICS
from engine.record import Record
from engine.registry import discover

OWNER = "compare"
SPLITS = {"together": "All with one baseline", "device": "Split by device", "conditions": "Split by all that differs"}
TABS = {
    "trade-off": "Trade-off", "change": "Change from baseline", "samples": "Distributions", "sweeps": "Sweeps", "memory": "Memory",
    "quality": "Quality", "configuration": "Configuration", "outputs": "Outputs",
}  # fmt: skip
GROUPS = {"family": "technique family", "device": "device", "experiment": "experiment"}
NAMES = (
    "split", "only", "point", "tab", "x", "y", "by", "logx", "logy", "front", "change", "sample", "sweep", "over", "quality", "answer",
)  # fmt: skip
"""All controls of the page. Addresses that people sent say them, so names and values must stay what they are."""


@dataclass(frozen=True)
class Shown:
    """found: the comparison. records: of its experiments. controls: what they come to."""

    found: Comparison
    records: Mapping[str, Record]
    controls: Controls

    @property
    def columns(self) -> tuple[Column, ...]:
        return self.found.columns

    @cached_property
    def frame(self) -> pd.DataFrame:
        return self.found.frame()

    @cached_property
    def rows(self) -> list[Row]:
        """One per column and metric, at the point that is chosen."""
        return self.found.at(self.controls["point"] or None)

    @cached_property
    def at(self) -> pd.DataFrame:
        """The same as a frame."""
        return frame(self.rows)

    @cached_property
    def flat(self) -> pd.DataFrame:
        """The same for charts that take a metric's first point: none has another."""
        return self.at.assign(point_label="", alike=[self.columns[p].alike for p in self.at["position"]])

    @property
    def capacity(self) -> int | None:
        """Bytes of the devices' memory, where all have as much."""
        sizes = {column.device.memory_bytes for column in self.columns}
        return sizes.pop() if len(sizes) == 1 else None

    @property
    def conditions(self) -> int:
        """Under how many sets of conditions the columns were measured."""
        return len({column.alike for column in self.columns})

    @property
    def families(self) -> dict[str, str]:
        return {column.name: family_of(column.stack) for column in self.columns}

    @property
    def groups(self) -> dict[str, str] | None:
        """{column: what it is coloured by}; None for the technique family."""
        by = self.controls["by"]
        return None if by == "family" else {c.name: c.device.name if by == "device" else c.title for c in self.columns}

    @property
    def answers(self) -> list[Output]:
        return _answers(self.found, self.records)


def shown(found: Comparison, records: Mapping[str, Record], wanted: Mapping[str, str]) -> Shown:
    return Shown(found, records, meant(OWNER, offers(found, records, wanted), wanted))


def split_of(wanted: Mapping[str, str]) -> Split:
    """How the variants are to be compared, which must be known before anything else."""
    asked: dict[str, Split] = {"device": "device", "conditions": "conditions"}
    return asked.get(wanted.get("split", ""), "together")


def offers(found: Comparison, records: Mapping[str, Record], wanted: Mapping[str, str]) -> dict[str, Offer]:
    """What each control can be with these variants. wanted: what is asked for, on which the offers of some depend."""
    summary, points = found.frame(), found.points()
    measured = summary[summary["value"].notna()]
    at = frame(found.at(wanted["point"] if wanted.get("point") in points else None)).dropna(subset="value")
    names = [name for name in METRICS if name in set(measured["metric"])]
    compared = [name for name in names if METRICS[name].compared and METRICS[name].higher_is_better is not None]
    swept = {name: keys for name in names if (keys := scaling.sweep_keys(summary, name))}
    x, y = _metric(names, found.decides.memory), _metric(names, found.decides.speed)
    sweep = _metric(list(swept), found.decides.speed)
    keys = swept.get(wanted.get("sweep", ""), swept.get(sweep.usual, []))
    answered = [str(column.ref) for column, o in zip(found.columns, _answers(found, records), strict=False) if o.answer is not None and not o.baseline]
    return {
        "split": Offer(tuple(SPLITS), "together"), "only": Offer.switch(True), "point": Offer(tuple(points), points[0] if points else ""),
        "tab": Offer(tuple(TABS), "trade-off"), "x": x, "y": y, "by": Offer(tuple(GROUPS), "family"),
        "logx": Offer.switch(_spread(at, wanted.get("x"), x)), "logy": Offer.switch(_spread(at, wanted.get("y"), y)),
        "front": Offer.switch(True), "change": _metric(compared, found.decides.speed),
        "sample": _metric([name for name in names if METRICS[name].kind != "fidelity"], found.decides.speed),
        "sweep": sweep, "over": Offer(tuple(keys), keys[0] if keys else ""),
        "quality": _metric([name for name in compared if METRICS[name].kind == "quality"], found.decides.quality),
        "answer": Offer(tuple(answered), answered[0] if answered else ""),
    }  # fmt: skip


def _metric(names: list[str], usual: str | None) -> Offer:
    return Offer(tuple(names), usual if usual in names and usual is not None else names[0] if names else "")


def _spread(at: pd.DataFrame, asked: str | None, offer: Offer) -> bool:
    """Whether the spread of the values of an axis asks for a logarithmic one."""
    name = asked if asked in offer.options else offer.usual
    return bool(name) and scale(str(name), list(at[at["metric"] == name]["value"])).log


def _answers(found: Comparison, records: Mapping[str, Record]) -> list[Output]:
    """What each column answers, in order; none where no workload generates anything."""
    known = discover().workloads
    workloads = [known.get(records[c.ref.experiment]["experiment"]["spec"]["workload"]["name"]) for c in found.columns]
    if not any(workload is not None and workload.generates for workload in workloads):
        return []
    return together([(c.name, i == 0, answer_of(records[c.ref.experiment], c.ref.position)) for i, c in enumerate(found.columns)])
