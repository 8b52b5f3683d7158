"""Memory per variant as bars: weights, KV cache and peak of a call; the extra peak where no model is loaded."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from dashboard.charts.style import finish, scale, theme
from dashboard.tables import at_point
from dashboard.words import chart_text, number, value_text
from engine.metrics import metric

SHOWN = {
    "weight_bytes": ("#0072B2", ""), "kv_cache_bytes": ("#009E73", "/"), "peak_memory_bytes": ("#D55E00", "x"),
    "extra_peak_bytes": ("#CC79A7", "\\"),
}  # fmt: skip
_ROW, _FRAME = 62, 110


def memory_frame(summary: pd.DataFrame, point: str | None) -> pd.DataFrame:
    """One row per variant x memory metric, in order of position; a metric with points is taken at `point`, else at its first.

    Columns: variant, position, metric, value, status, reason.
    """
    found = pd.concat([at_point(summary, name, point) for name in SHOWN])
    return found[["variant", "position", "metric", "value", "status", "reason"]].sort_values("position", kind="stable")


def memory_bars(frame: pd.DataFrame, *, dark: bool) -> go.Figure:
    """frame: memory_frame. Bars are beside each other, never stacked: a peak holds the weights already."""
    colours = theme(dark)
    order = frame.drop_duplicates("position")
    names = {position: chart_text(variant, 24) for position, variant in zip(order["position"], order["variant"], strict=True)}
    unit = scale("weight_bytes", [v for v in frame["value"] if number(v) is not None], from_zero=True)
    figure = go.Figure()
    for name, (colour, pattern) in SHOWN.items():
        rows = frame[frame["metric"] == name]
        if rows.empty:
            continue
        texts = [value_text(name, v) for v in rows["value"]]
        figure.add_trace(go.Bar(
            y=list(rows["position"]), x=(rows["value"] * unit.factor).fillna(0), orientation="h", name=metric(name).label,
            marker=dict(color=colour, pattern=dict(shape=pattern, solidity=0.25, fgcolor=colours.background)),
            text=texts, textposition="outside", cliponaxis=False, textfont=dict(size=11, color=colours.text),
            customdata=[[names[p], t] for p, t in zip(rows["position"], texts, strict=True)],
            hovertemplate="<b>%{customdata[0]}</b><br>" + metric(name).label + ": %{customdata[1]}<extra></extra>",
        ))  # fmt: skip
    finish(figure, colours, _FRAME + _ROW * max(len(names), 1))
    figure.update_layout(barmode="group", bargap=0.25)
    figure.update_yaxes(autorange="reversed", tickvals=list(names), ticktext=list(names.values()))
    largest = number(frame["value"].max()) if len(frame) else None
    unit_name = unit.title.partition("(")[2].rstrip(")")
    figure.update_xaxes(title_text=f"Memory ({unit_name})", range=[0, (largest or 1) * unit.factor * 1.25])
    return figure


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
