"""What holds the memory at the peak of a training step: one stacked bar per variant, with what arithmetic says as a mark.

The parts are live tensors of one moment, so they are stacked; what a formula gives is not measured and is never a bar.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from dashboard.charts.style import BLUE, GREEN, GREY, PINK, VERMILION, Theme, finish, scale, theme
from dashboard.tables import at_point
from dashboard.words import NOT_MEASURED, STATUS, chart_text, number, value_text
from engine.record import Record

PARTS = {
    "peak_weight_bytes": ("weights", BLUE, ""), "peak_gradient_bytes": ("gradients", VERMILION, "/"),
    "peak_optimizer_bytes": ("optimizer", GREEN, "x"), "peak_activation_bytes": ("activations", PINK, "\\"),
    "peak_other_bytes": ("other", GREY, "."),
}  # fmt: skip
PREDICTED = ("peak_weight_bytes", "peak_gradient_bytes", "peak_optimizer_bytes")
_FORMULA = "by formula"
_ROW, _FRAME = 50, 160


def predictions(record: Record) -> dict[int, dict[str, int]]:
    """{position of a variant: {metric: bytes by formula}}, from the first of its runs that says."""
    found: dict[int, dict[str, int]] = {}
    for run in record["runs"]:
        predicted = (run["details"] or {}).get("memory_prediction")
        if predicted:
            found.setdefault(run["variant"], predicted)
    return found


def split_frame(summary: pd.DataFrame, point: str | None, predicted: Mapping[int, Mapping[str, int]]) -> pd.DataFrame:
    """One row per variant x part at a point, in order of position; no rows where no training was measured.

    Columns: variant, position, metric, value, predicted, status, reason.
    """
    rows = pd.concat([at_point(summary, name, point) for name in PARTS])
    rows = rows.assign(predicted=[predicted.get(p, {}).get(m) for p, m in zip(rows["position"], rows["metric"], strict=True)])
    columns = ["variant", "position", "metric", "value", "predicted", "status", "reason"]
    return rows[columns].astype({"predicted": "float64"}).sort_values("position", kind="stable", ignore_index=True)


def split_bars(frame: pd.DataFrame, *, dark: bool) -> go.Figure:
    """frame: split_frame."""
    colours = theme(dark)
    totals = _totals(frame)
    unit = scale("peak_memory_bytes", [t for t in (*totals["value"], *totals["predicted"]) if number(t) is not None], from_zero=True)
    figure = go.Figure()
    for name, (label, colour, pattern) in PARTS.items():
        rows = frame[frame["metric"] == name]
        texts = [value_text(name, v) for v in rows["value"]]
        figure.add_trace(go.Bar(
            y=list(rows["position"]), x=(rows["value"] * unit.factor).fillna(0), orientation="h", name=label,
            marker=dict(color=colour, pattern=dict(shape=pattern, solidity=0.25, fgcolor=colours.background)),
            customdata=[[chart_text(v, 60), t, _formula_text(name, p)] for v, t, p in zip(rows["variant"], texts, rows["predicted"], strict=True)],
            hovertemplate="<b>%{customdata[0]}</b><br>" + label + ": %{customdata[1]}%{customdata[2]}<extra></extra>",
        ))  # fmt: skip
    _predicted_marks(figure, totals, unit.factor, colours)
    _sums(figure, totals, unit.factor, colours)
    finish(figure, colours, _FRAME + _ROW * max(len(totals), 1))
    names = [chart_text(v, 24) for v in totals["variant"]]
    largest = totals[["value", "predicted"]].max().max()
    figure.update_layout(barmode="stack", bargap=0.35, legend_traceorder="normal")
    figure.update_yaxes(autorange="reversed", showgrid=False, zeroline=False, tickvals=list(totals["position"]), ticktext=names)
    unit_name = unit.title.partition("(")[2].rstrip(")")
    figure.update_xaxes(title_text=f"At the peak ({unit_name})", range=[0, (number(largest) or 1) * unit.factor * 1.3])
    return figure


def describe(frame: pd.DataFrame) -> str:
    """The bars in words."""
    totals = _totals(frame)
    texts = []
    for row in totals.itertuples():
        if number(row.value) is None:
            texts.append(f"{row.variant} {STATUS.get(str(row.status), NOT_MEASURED)[2:]}")
            continue
        own = frame[(frame["position"] == row.position) & frame["value"].notna()]
        most: Any = own.loc[own["value"].idxmax()]
        label = PARTS[most["metric"]][0]
        texts.append(f"{row.variant} {value_text('peak_memory_bytes', row.value)}, most of it {label} ({value_text(most['metric'], most['value'])})")
    return (
        f"Live tensors at the peak of a training step: {'; '.join(texts)}. The mark is what weights, all gradients and the optimizer's "
        "state take by formula; a peak in the forward pass comes before the gradients, so it may lie below the mark."
    )


def split_table(frame: pd.DataFrame) -> pd.DataFrame:
    """The same numbers: one row per variant, with the formula's beside the measured ones."""
    totals = _totals(frame)
    table = pd.DataFrame({"Variant": list(totals["variant"])})
    for name, (label, _, _) in PARTS.items():
        rows = frame[frame["metric"] == name]
        table[label.capitalize()] = [
            value_text(name, v) if number(v) is not None else STATUS.get(s, STATUS[NOT_MEASURED])
            for v, s in zip(rows["value"], rows["status"], strict=True)
        ]
        if name in PREDICTED:
            table[f"{label.capitalize()}, formula"] = [value_text(name, p) if number(p) is not None else "not predicted" for p in rows["predicted"]]
    table["Sum at the peak"] = [value_text("peak_memory_bytes", t) for t in totals["value"]]
    return table


def _totals(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per variant: value, the sum of its parts; predicted, that of the formulas where all three are known; status."""
    rows = []
    for position, own in frame.groupby("position", sort=True):
        formulas = own[own["metric"].isin(PREDICTED)]["predicted"]
        rows.append((own["variant"].iloc[0], position, own["value"].sum(skipna=False), formulas.sum(skipna=False), own["status"].iloc[0]))
    kinds = {"value": "float64", "predicted": "float64"}
    return pd.DataFrame(rows, columns=["variant", "position", "value", "predicted", "status"]).astype(kinds)


def _formula_text(name: str, predicted: float) -> str:
    return f" ({value_text(name, predicted)} by formula)" if name in PREDICTED and number(predicted) is not None else ""


def _predicted_marks(figure: go.Figure, totals: pd.DataFrame, factor: float, colours: Theme) -> None:
    rows = totals[totals["predicted"].notna()]
    if rows.empty:
        return
    figure.add_trace(go.Scatter(
        x=rows["predicted"] * factor, y=list(rows["position"]), mode="markers", name=_FORMULA,
        marker=dict(symbol="line-ns", size=24, line=dict(width=3, color=colours.text)),
        customdata=[[chart_text(r.variant, 60), value_text("peak_memory_bytes", r.predicted)] for r in rows.itertuples()],
        hovertemplate="<b>%{customdata[0]}</b><br>weights, gradients and optimizer by formula: %{customdata[1]}<extra></extra>",
    ))  # fmt: skip


def _sums(figure: go.Figure, totals: pd.DataFrame, factor: float, colours: Theme) -> None:
    """The sum at the end of each bar, or why there is no bar."""
    texts = [
        f"  {value_text('peak_memory_bytes', r.value)}" if number(r.value) is not None else f"  {STATUS.get(str(r.status), STATUS[NOT_MEASURED])}"
        for r in totals.itertuples()
    ]
    ends = totals[["value", "predicted"]].max(axis=1).where(totals["value"].notna(), 0) * factor
    figure.add_trace(go.Scatter(
        x=list(ends), y=list(totals["position"]), mode="text", text=texts, textposition="middle right", cliponaxis=False,
        textfont=dict(size=12, color=colours.text), hoverinfo="skip", showlegend=False, name="sum",
    ))  # fmt: skip
