"""An experiment as its page shows it: record, summary, and what every control of the page offers and comes to. Draws nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from dashboard import pictures, tables
from dashboard.charts.loss import OVER
from dashboard.controls import Controls, Offer, meant
from dashboard.links import ChartView
from engine.decisive import Decisive, decisive
from engine.metrics import METRICS
from engine.record import Record

OWNER = "experiment"
TABS = {
    "summary": "Summary", "samples": "Samples", "memory": "Memory", "quality": "Quality", "configuration": "Configuration",
    "environment": "Environment", "log": "Log", "files": "Files",
}  # fmt: skip
NAMES = ("tab", "x", "y", "point", "kind", "over", "sample", "at", "of", "loss", "beside", "profile", "log")
"""All controls of the page. Addresses that people sent say them, so names and values must stay what they are."""


@dataclass(frozen=True)
class Shown:
    record: Record
    summary: pd.DataFrame
    decides: Decisive
    controls: Controls

    @property
    def id(self) -> str:
        return str(self.record["experiment"]["id"])

    @property
    def point(self) -> str | None:
        return self.controls["point"] or None

    @property
    def view(self) -> ChartView:
        return ChartView(self.controls["x"], self.controls["y"], self.point)

    @property
    def measured(self) -> bool:
        return bool(self.summary["value"].notna().any())

    def name(self, position: str) -> str:
        """Of the variant at a position, as a control writes it."""
        return str(self.record["variants"][int(position)]["name"])


def shown(record: Record, summary: pd.DataFrame, wanted: Mapping[str, str]) -> Shown:
    """wanted: what the address asks for."""
    decides = decisive(record)
    return Shown(record, summary, decides, meant(OWNER, offers(record, summary, decides, wanted), wanted))


def offers(record: Record, summary: pd.DataFrame, decides: Decisive, wanted: Mapping[str, str]) -> dict[str, Offer]:
    x, y = pictures.default_axes(summary, decides)
    known, points = tuple(pictures.axes(summary, decides)), tuple(pictures.points(summary, decides))
    positions = tuple(str(i) for i in range(len(record["variants"])))
    others = tuple(p for p in positions if not record["variants"][int(p)]["baseline"])
    over, first = pictures.scaled(summary, decides)
    kinds = tuple(name.lower() for name, kind in tables.KINDS.items() if kind is None or kind in set(summary["kind"]))
    sample, at = _samples(summary, decides, wanted)
    runs = [run for run in record["runs"] if run["status"] != "queued"]
    failed = next((str(run["id"]) for run in runs if run["status"] == "failed"), None)
    ids = tuple(str(run["id"]) for run in runs)
    return {
        "tab": Offer(tuple(TABS), "summary"), "x": Offer(known, x), "y": Offer(known, y), "point": Offer(points, points[0] if points else ""),
        "kind": Offer(kinds, "all"), "over": Offer(tuple(over), first or ""), "sample": sample, "at": at, "of": Offer(positions, "0"),
        "loss": Offer(tuple(OVER), "tokens"), "beside": Offer(others, others[0] if others else ""),
        "profile": Offer(positions, "0"), "log": Offer(ids, failed or (ids[0] if ids else "")),
    }  # fmt: skip


def _samples(summary: pd.DataFrame, decides: Decisive, wanted: Mapping[str, str]) -> tuple[Offer, Offer]:
    """The metrics that have samples, and the points of the one that is meant."""
    measured = summary[summary["value"].notna() & (summary["kind"] != "fidelity")]
    there = set(measured["metric"])
    names = tuple(name for name in METRICS if name in there)
    usual = decides.speed if decides.speed in names else names[0] if names else ""
    chosen = wanted["sample"] if wanted.get("sample") in names else usual
    labels = tuple(dict.fromkeys(measured[measured["metric"] == chosen]["point_label"]))
    return Offer(names, usual), Offer(labels, labels[0] if labels else "")
