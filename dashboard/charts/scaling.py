"""A metric over one number of the points, sequence length for example, on two logarithmic axes: one line per variant.

What ran out of memory is marked at the length where it did. Guides show what growth with n and with n^2 looks like. A point at
0, which has no place on a logarithmic axis, is a level line: what it is without.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from dashboard.charts.style import (
    Theme,
    axis_range,
    end_in_sight,
    faded,
    finish,
    interval_bars,
    limit_line,
    line_look,
    scale,
    symbols,
    theme,
)
from dashboard.words import STATUS, change_text, chart_text, interval_text, measured_text, number, value_text
from engine.analysis import IMPORTED
from engine.measurement import Point, Status
from engine.metrics import metric

LEAST_POINTS = 3
_HEIGHT = 460
_AXIS = {"seq_len": "Sequence length, tokens", "new_tokens": "Generated tokens", "batch": "Batch size", "prompt_tokens": "Prompt tokens"}
_AXIS_OF_CHOICES = {"checkpoint_every": "Layers per checkpoint"}
"""Numbers that are chosen and are no size of the work: nothing grows with them as the guides do."""
_GUIDES = {"O(n)": 1, "O(n²)": 2}


def scaling_key(points: Sequence[Point]) -> str | None:
    """The number that the points differ in, if it is one only and has at least 3 values above 0; else None."""
    keys = dict.fromkeys(key for point in points for key in point)
    differing = [key for key in keys if len({point.get(key) for point in points}) > 1]
    if len(differing) != 1:
        return None
    values = {point.get(differing[0]) for point in points}
    numbers = [v for v in values if isinstance(v, (int, float)) and v >= 0]
    return differing[0] if len(numbers) == len(values) and sum(v > 0 for v in numbers) >= LEAST_POINTS else None


def scaling_frame(summary: pd.DataFrame, metric_name: str) -> tuple[pd.DataFrame, str | None]:
    """(rows of the metric with a column x, in order of variant and x; the key that x is). No key, no rows."""
    rows = summary[summary["metric"] == metric_name]
    key = scaling_key(list(rows["point"]))
    if key is None:
        return rows.iloc[:0].assign(x=pd.Series(dtype="float64")), None
    rows = rows.assign(x=[float(point[key]) for point in rows["point"]])
    return rows.sort_values(["position", "x"], kind="stable", ignore_index=True), key


def sweep_keys(summary: pd.DataFrame, metric_name: str) -> list[str]:
    """The numbers of the points of which one variant at least was measured at two values above 0: what the metric can be drawn over."""
    rows = summary[(summary["metric"] == metric_name) & summary["value"].notna()]
    values: dict[tuple[int, str], set[float]] = {}
    for position, point in zip(rows["position"], rows["point"], strict=True):
        for key, value in point.items():
            if isinstance(value, (int, float)) and value > 0:
                values.setdefault((position, key), set()).add(value)
    return list(dict.fromkeys(key for (_, key), found in values.items() if len(found) > 1))


def sweep_frame(summary: pd.DataFrame, metric_name: str, key: str, at: Mapping[int, Point]) -> pd.DataFrame:
    """As scaling_frame over a chosen number. at: of each variant, the point whose other numbers stay as they are."""
    rows = summary[summary["metric"] == metric_name]

    def on_the_line(position: int, point: Point) -> bool:
        fixed = at.get(position, {})
        return key in point and all(point.get(k) == v for k, v in fixed.items() if k != key)

    there = [on_the_line(p, point) for p, point in zip(rows["position"], rows["point"], strict=True)]
    rows = rows[pd.Series(there, index=rows.index, dtype="bool")]
    rows = rows.assign(x=[float(point[key]) for point in rows["point"]])
    return rows.sort_values(["position", "x"], kind="stable", ignore_index=True)


def scaling(
    frame: pd.DataFrame, key: str, metric_name: str, *, dark: bool, capacity: float | None = None, bands: bool = False
) -> go.Figure:
    """frame: scaling_frame or sweep_frame. Bars, or bands, are 95 % intervals over rounds. capacity: bytes of the device's memory. A value
    of 0 has no place on a logarithmic axis."""
    colours = theme(dark)
    lost = did_not_fit(frame, key)
    levels, frame = frame[(frame["x"] == 0) & (frame["value"] > 0)], frame[frame["x"] > 0]
    drawn = frame[frame["value"] > 0]
    end = end_in_sight(metric_name, frame["value"], capacity, frame["status"])
    s = scale(metric_name, [*drawn["value"], *levels["value"], *([] if end is None else [end])])
    figure = go.Figure()
    if key in _AXIS and metric(metric_name).higher_is_better is False:
        _guides(figure, drawn, s.factor, colours)
    for position, rows in drawn.groupby("position"):
        _line(figure, rows, metric_name, s.factor, colours, int(str(position)), bands=bands)
    finish(figure, colours, _HEIGHT)
    _levels(figure, levels, (frame["x"].min(), frame["x"].max()), key, metric_name, s.factor, colours)
    y = [v * s.factor for v in (*drawn["value"], *levels["value"], *([] if end is None else [end]))] or [1.0]
    low, high = axis_range(min(y), max(y) * 1.3 ** (len(lost) and len(lost) + 1), True, False, room=0.08)
    _marks(figure, lost, high, frame["x"].min(), colours)
    if end is not None:
        limit_line(figure, end * s.factor, f"{value_text(metric_name, end)} in the device", colours, axis="y", log=True)
    xs = list(drawn["x"]) + list(lost[lost["x"] > 0]["x"]) or [1.0]
    ticks = sorted(set(frame["x"]))
    figure.update_xaxes(type="log", title_text=f"{_axis_title(key)} (log scale)", tickvals=ticks,
                        ticktext=[f"{t:g}" for t in ticks], range=axis_range(min(xs), max(xs), True, False, room=0.06))  # fmt: skip
    figure.update_yaxes(type="log", title_text=s.title if s.log else f"{s.title}, log scale", range=[low, high])
    return figure


def did_not_fit(frame: pd.DataFrame, key: str) -> pd.DataFrame:
    """The row of each variant where it ran out of memory first, what was longer has not been tried; of choices, every such row."""
    lost = frame[frame["status"] == Status.OUT_OF_MEMORY].sort_values("x")
    first = lost if key in _AXIS_OF_CHOICES else lost.drop_duplicates("position")
    return first.sort_values("position", kind="stable")


def describe(frame: pd.DataFrame, key: str, metric_name: str) -> str:
    """The chart in words: how far each variant got, and what the last step cost it."""
    drawn = frame[(frame["value"] > 0) & (frame["x"] > 0)]
    if drawn.empty:
        return f"No {metric(metric_name).label.lower()} was measured yet."
    axis = _axis_title(key).partition(",")[0].lower()
    text = f"{metric(metric_name).label} over {axis} of {drawn['position'].nunique()} variants."
    steps = []
    for _, rows in drawn.groupby("position"):
        if len(rows) > 1:
            before, last = rows.iloc[-2], rows.iloc[-1]
            steps.append(f"{last['variant']} {last['value'] / before['value']:.2g} times (from {before['x']:g} to {last['x']:g})")
    for r in frame[(frame["value"] > 0) & (frame["x"] == 0)].itertuples():
        text += f" {r.variant} at 0, the level line: {value_text(metric_name, r.value)}."
    if steps:
        text += f" The last step multiplies it: {', '.join(steps)}."
    if ((drawn["n_rounds"] == 1) & (drawn["verdict"] != IMPORTED)).any():
        text += " Hollow marks: one round, without an interval."
    if (drawn["verdict"] == IMPORTED).any():
        text += " Hollow with a dot: imported, measured by another tool."
    if lost := [f"{r.variant} at {r.x:g}" for r in did_not_fit(frame, key).itertuples()]:
        text += f" Out of memory: {', '.join(lost)}."
    return text


def table(frame: pd.DataFrame, key: str, metric_name: str) -> pd.DataFrame:
    """The same as a table: one row per variant and place on the axis."""
    return pd.DataFrame({
        "Variant": frame["variant"], _axis_title(key).partition(",")[0]: [f"{x:g}" for x in frame["x"]],
        metric(metric_name).label: [measured_text(metric_name, r.value, r.low, r.high) for r in frame.itertuples()],
        "Change": [change_text(r) for r in frame["ratio"]], "Rounds": frame["n_rounds"],
        "Status": [STATUS.get(s, s) for s in frame["status"]],
    })  # fmt: skip


def _axis_title(key: str) -> str:
    return (_AXIS | _AXIS_OF_CHOICES).get(key, key.replace("_", " "))


def _levels(
    figure: go.Figure, levels: pd.DataFrame, reach: tuple[float, float], key: str, metric_name: str, factor: float, colours: Theme
) -> None:  # fmt: skip
    """What each variant has at 0, across the whole chart."""
    for r in levels.itertuples():
        colour, _, _ = line_look(int(r.position), baseline=bool(r.baseline), colours=colours)
        name = f"{chart_text(r.variant, 20)}, {key.replace('_', ' ')} 0"
        figure.add_trace(go.Scatter(
            x=list(reach), y=[r.value * factor] * 2, name=name, mode="lines", line=dict(color=colour, width=1.5, dash="dash"),
            hovertemplate=f"<b>{name}</b><br>{_hover(r, metric_name)}<extra></extra>",
        ))  # fmt: skip


def _line(
    figure: go.Figure, rows: pd.DataFrame, metric_name: str, factor: float, colours: Theme, position: int, *, bands: bool
) -> None:  # fmt: skip
    colour, symbol, dash = line_look(position, baseline=bool(rows["baseline"].iloc[0]), colours=colours)
    known = rows[rows["low"].notna() & rows["high"].notna()]
    if bands and len(known) > 1:
        figure.add_trace(go.Scatter(
            x=[*known["x"], *known["x"][::-1]], y=[*(known["high"] * factor), *(known["low"] * factor)[::-1]], fill="toself", mode="none",
            fillcolor=faded(colour, 0.18), line=dict(width=0), hoverinfo="skip", showlegend=False, name="95 % interval",
        ))  # fmt: skip
    figure.add_trace(go.Scatter(
        x=rows["x"], y=rows["value"] * factor, name=chart_text(rows["variant"].iloc[0], 26), mode="lines+markers",
        line=dict(color=colour, width=2, dash=dash),
        marker=dict(symbol=symbols(symbol, rows["n_rounds"], rows["verdict"] == IMPORTED), size=9, color=colour),
        error_y=None if bands else interval_bars(rows, "value", "low", "high", factor, colour),
        customdata=[[chart_text(r.variant, 60), f"{r.x:g}", _hover(r, metric_name)] for r in rows.itertuples()],
        hovertemplate="<b>%{customdata[0]}</b> at %{customdata[1]}<br>%{customdata[2]}<extra></extra>",
    ))  # fmt: skip


def _hover(row: Any, metric_name: str) -> str:
    text = f"{metric(metric_name).label}: {measured_text(metric_name, row.value, row.low, row.high)}"
    if number(row.ratio) is not None and not row.baseline:
        text += f"<br>{row.ratio:.3g} times the baseline"
        text += f" (change {interval})" if (interval := interval_text(row.ci_low, row.ci_high)) else ""
    return text


def _guides(figure: go.Figure, drawn: pd.DataFrame, factor: float, colours: Theme) -> None:
    """Lines of slope 1 and 2 through the longest measured point of the first variant, the baseline where it has one."""
    if drawn.empty:
        return
    first, last = drawn["x"].min(), drawn["x"].max()
    end = drawn[drawn["position"] == drawn["position"].min()].iloc[-1]
    for name, power in _GUIDES.items():
        y = [end["value"] * (x / end["x"]) ** power * factor for x in (first, last)]
        figure.add_trace(go.Scatter(
            x=[first, last], y=y, name=name, mode="lines", hoverinfo="skip",
            line=dict(color=colours.faint, width=1.2, dash="dot" if power == 1 else "dash"),
        ))  # fmt: skip


def _marks(figure: go.Figure, lost: pd.DataFrame, top: float, first: float, colours: Theme) -> None:
    """Under the upper edge, one below the other, so that two variants at one length are both seen."""
    for row, r in enumerate(lost.itertuples(), 1):
        colour, _, _ = line_look(int(r.position), baseline=bool(r.baseline), colours=colours)
        figure.add_trace(go.Scatter(
            x=[r.x or first], y=[10 ** (top - row * math.log10(1.3))], mode="markers+text", showlegend=False, cliponaxis=False,
            marker=dict(symbol="x", size=11, color=colour), text=[f"{chart_text(r.variant, 20)}{'' if r.x else ' at 0'}: out of memory"], name="out of memory",
            textposition="middle right" if r.x in (0, first) else "middle left", textfont=dict(size=11, color=colours.text),
            customdata=[[chart_text(r.variant, 60), STATUS[r.status], chart_text(r.reason or "", 120)]],
            hovertemplate="<b>%{customdata[0]}</b><br>%{customdata[1]}<br>%{customdata[2]}<extra></extra>",
        ))  # fmt: skip
