"""The charts of a comparison, each with its title, its words and its table: what the page draws and what a report holds. Draws no widget."""

from __future__ import annotations

import pandas as pd

from dashboard.charts import changes, memory, tradeoff
from dashboard.comparing.shown import Shown
from dashboard.comparing.titles import memory_title, trade_off_title
from dashboard.pictures import Picture
from engine.metrics import metric
from engine.tradeoff import wide

INTERVALS = "Intervals are 95 % t-intervals over rounds, from 3 rounds on."


def trade_off(shown: Shown, *, dark: bool) -> tuple[str, Picture]:
    """By the controls x, y, by, logx, logy and front; x must be something."""
    controls, x, y = shown.controls, shown.controls["x"], shown.controls["y"]
    points = wide(shown.flat, x, y)
    choices = tradeoff.Choices(controls.on("logx"), controls.on("logy"), controls.on("front"), crosshair=True, groups=shown.groups)
    beside = tradeoff.quality_texts(shown.flat, shown.found.decides.quality)
    figure = tradeoff.tradeoff(points, x, y, shown.families, dark=dark, beside=beside, capacity=shown.capacity, choices=choices)
    said = f"{tradeoff.describe(points, x, y)} {INTERVALS}{points_text(shown, x, y)}"
    return trade_off_title(points, x, y), Picture(figure, said, lambda: tradeoff.table(points, x, y), points)


def change(shown: Shown, name: str, *, dark: bool, forest: bool) -> tuple[str, Picture]:
    """Of one metric against the baseline of each group."""
    frame = changes.change_frame(shown.at, name)
    beside = tradeoff.quality_texts(shown.flat, shown.found.decides.quality) if metric(name).kind == "speed" else {}
    said = changes.describe(frame, name) + points_text(shown, name)
    figure = changes.changes(frame, name, dark=dark, forest=forest, beside=beside)
    return changes.headline(frame, name), Picture(figure, said, lambda: changes.table(frame, name), frame)


def memory_bars(shown: Shown, *, dark: bool) -> tuple[str, Picture] | None:
    """None where no memory was measured."""
    frame = memory.memory_frame(shown.flat, None)
    if frame.empty:
        return None
    figure = memory.memory_bars(frame, dark=dark, capacity=shown.capacity)
    return memory_title(frame, shown.conditions), Picture(figure, f"{memory.describe(frame)} {INTERVALS}", lambda: memory.table(frame), frame)


def by_own_baseline(shown: Shown) -> pd.DataFrame:
    """The rows that are shown, each experiment's own baseline marked: what likeness is measured against."""
    return shown.flat.assign(baseline=[shown.columns[p].own_baseline for p in shown.flat["position"]])


def points_text(shown: Shown, *names: str) -> str:
    """Where the columns were measured at different points, which."""
    found: dict[str, list[str]] = {}
    for row in shown.rows:
        if row.metric in names and row.value is not None and row.point:
            found.setdefault(row.point_label, []).append(row.variant)
    if len({frozenset(of) for of in found.values()}) < 2:
        return ""
    return " Measured at different points: " + "; ".join(f"{', '.join(dict.fromkeys(of))} at {label}" for label, of in found.items()) + "."
