"""Memory per variant as bars: weights, KV cache and peak of a call; the extra peak where no model is loaded."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from dashboard.charts.style import (
    BLUE,
    GREEN,
    PINK,
    VERMILION,
    Theme,
    end_in_sight,
    finish,
    interval_bars,
    limit_line,
    scale,
    theme,
)
from dashboard.tables import at_point
from dashboard.words import NOT_MEASURED, STATUS, chart_text, measured_text, number, value_text
from engine.measurement import Status
from engine.metrics import metric

SHOWN = {
    "weight_bytes": (BLUE, ""), "kv_cache_bytes": (GREEN, "/"), "peak_memory_bytes": (VERMILION, "x"),
    "extra_peak_bytes": (PINK, "\\"),
}  # fmt: skip
_ROW, _FRAME = 62, 110


def memory_frame(summary: pd.DataFrame, point: str | None) -> pd.DataFrame:
    """One row per variant x memory metric, in order of position; a metric with points is taken at `point`, else at its first.

    Columns: variant, position, metric, value, low, high, status, reason.
    """
    found = pd.concat([at_point(summary, name, point) for name in SHOWN])
    return found[["variant", "position", "metric", "value", "low", "high", "status", "reason"]].sort_values("position", kind="stable")


def memory_bars(frame: pd.DataFrame, *, dark: bool, capacity: float | None = None) -> go.Figure:
    """frame: memory_frame. Bars are beside each other, never stacked: a peak holds the weights already. capacity: of the device, in bytes;
    what did not fit is marked where it ends. Error bars are 95 % intervals."""
    colours = theme(dark)
    order = frame.drop_duplicates("position")
    names = {position: chart_text(variant, 24) for position, variant in zip(order["position"], order["variant"], strict=True)}
    peaks = frame[frame["metric"] == "peak_memory_bytes"]
    end = end_in_sight("peak_memory_bytes", frame["value"], capacity, peaks["status"])
    known = [v for v in (*frame["value"], end) if number(v) is not None]
    unit = scale("weight_bytes", known, from_zero=True)
    figure = go.Figure()
    for name, (colour, pattern) in SHOWN.items():
        rows = frame[frame["metric"] == name]
        if rows.empty:
            continue
        texts = [value_text(name, v) for v in rows["value"]]
        figure.add_trace(go.Bar(
            y=list(rows["position"]), x=(rows["value"] * unit.factor).fillna(0), orientation="h", name=metric(name).label,
            marker=dict(color=colour, pattern=dict(shape=pattern, solidity=0.25, fgcolor=colours.background)),
            error_x=interval_bars(rows, "value", "low", "high", unit.factor, colours.text),
            text=texts, textposition="outside", cliponaxis=False, textfont=dict(size=11, color=colours.text),
            customdata=[[names[p], t] for p, t in zip(rows["position"], texts, strict=True)],
            hovertemplate="<b>%{customdata[0]}</b><br>" + metric(name).label + ": %{customdata[1]}<extra></extra>",
        ))  # fmt: skip
    finish(figure, colours, _FRAME + _ROW * max(len(names), 1))
    figure.update_layout(barmode="group", bargap=0.25)
    figure.update_yaxes(autorange="reversed", tickvals=list(names), ticktext=list(names.values()))
    if end is not None:
        limit_line(figure, end * unit.factor, f"{value_text('peak_memory_bytes', end)} in the device", colours)
        _did_not_fit(figure, peaks, end * unit.factor, colours)
    unit_name = unit.title.partition("(")[2].rstrip(")")
    figure.update_xaxes(title_text=f"Memory ({unit_name})", range=[0, max(known, default=1.0) * unit.factor * 1.25])
    return figure


def _did_not_fit(figure: go.Figure, peaks: pd.DataFrame, place: float, colours: Theme) -> None:
    lost = peaks[peaks["status"] == Status.OUT_OF_MEMORY]
    if len(lost):
        figure.add_trace(go.Scatter(
            x=[place] * len(lost), y=list(lost["position"]), mode="markers", name="did not fit", cliponaxis=False,
            marker=dict(symbol="x-thin", size=13, line=dict(width=3, color=colours.text)),
            customdata=[[chart_text(r.variant, 60), chart_text(r.reason or "", 200)] for r in lost.itertuples()],
            hovertemplate="<b>%{customdata[0]}</b><br>did not fit<br>%{customdata[1]}<extra></extra>",
        ))  # fmt: skip


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """The same as a table: one row per variant, a column per kind of memory."""
    result = frame.drop_duplicates("position")[["position", "variant"]].rename(columns={"variant": "Variant"}).set_index("position")
    for name in SHOWN:
        rows = frame[frame["metric"] == name]
        if len(rows):
            texts = {
                r.position: STATUS.get(r.status, r.status) if number(r.value) is None else measured_text(name, r.value, r.low, r.high)
                for r in rows.itertuples()
            }
            result[metric(name).label] = [texts.get(position, STATUS[NOT_MEASURED]) for position in result.index]
    return result.reset_index(drop=True)


def describe(frame: pd.DataFrame) -> str:
    """The bars in words."""
    measured = frame[frame["value"].notna()]
    name = next((n for n in SHOWN if n in set(measured["metric"])), None)
    if name is None:
        return "No memory was measured yet."
    rows = measured[measured["metric"] == name]
    least, most = rows.loc[rows["value"].idxmin()], rows.loc[rows["value"].idxmax()]
    return (
        f"{metric(name).label}: from {value_text(name, least['value'])} ({least['variant']}) "
        f"to {value_text(name, most['value'])} ({most['variant']})."
    )
