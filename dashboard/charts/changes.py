"""The change of one metric against the baseline, one line per variant: an interval, the line of no change, the band of what does not matter.

Bars for any metric, marks without bars (a forest plot) for quality. Only better and worse have a colour; what is not shown has none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from dashboard.charts.style import BLUE, VERMILION, Theme, faded, finish, interval_bars, theme
from dashboard.words import (
    STATUS,
    VERDICT,
    change_text,
    chart_text,
    interval_text,
    measured_text,
    number,
    value_text,
)
from engine.metrics import metric

_ROW, _FRAME = 44, 110
_OUTLIER = 20
COLUMNS = ("variant", "position", "baseline", "value", "low", "high", "ratio", "ci_low", "ci_high", "verdict", "status", "reason", "n_rounds", "point_label")


def change_frame(rows: pd.DataFrame, metric_name: str) -> pd.DataFrame:
    """Of a frame with one row per variant and metric (engine.answers.comparison at): those of one metric, with the changes in per cent."""
    frame = rows[rows["metric"] == metric_name].sort_values("position", kind="stable", ignore_index=True)[list(COLUMNS)]
    return frame.assign(**{f"{name}_percent": (frame[name] - 1) * 100 for name in ("ratio", "ci_low", "ci_high")})


def changes(frame: pd.DataFrame, metric_name: str, *, dark: bool, forest: bool = False, beside: Mapping[str, str] | None = None) -> go.Figure:
    """frame: change_frame. forest: marks without bars. beside: {variant: text for the hover}, its quality."""
    colours, margin = theme(dark), metric(metric_name).margin
    figure = go.Figure()
    finish(figure, colours, _FRAME + _ROW * max(len(frame), 1))
    for label, colour, rows in _kinds(frame, colours):
        (_marks if forest else _bars)(figure, rows, label, colour, colours, _hover(rows, metric_name, beside or {}))
    figure.add_vrect(x0=(1 / (1 + margin) - 1) * 100, x1=margin * 100, fillcolor=faded(colours.faint, 0.25), line_width=0, layer="below")
    figure.add_vline(x=0, line=dict(color=colours.text, width=1.5))
    low, high = _reach(frame)
    span = high - low
    _said(figure, frame, high + 0.03 * span, colours)
    names = [chart_text(name, 28) for name in frame["variant"]]
    figure.update_yaxes(range=[max(len(frame), 1) - 0.5, -0.5], tickvals=list(range(len(frame))), ticktext=names, showgrid=False, zeroline=False)
    title = f"Change of {metric(metric_name).label.lower()} against the baseline (%)"
    figure.update_xaxes(title_text=title, range=[low - 0.05 * span, high + 0.45 * span], zeroline=False)
    return figure


def describe(frame: pd.DataFrame, metric_name: str) -> str:
    """The chart in words: every change with its verdict, and what stands behind the intervals."""
    found = metric(metric_name)
    good = "more is better" if found.higher_is_better else "less is better"
    parts = []
    for row in frame[~frame["baseline"]].itertuples():
        change, interval = change_text(row.ratio), interval_text(row.ci_low, row.ci_high)
        said = f"{change} ({interval})" if interval else change
        parts.append(f"{row.variant} {' '.join(t for t in (said, VERDICT.get(row.verdict, row.verdict)) if t)}")
    over = {"rounds": "rounds", "blocks": "blocks of the text", "examples": "examples", "detections": "examples"}[found.paired_by]
    return (
        f"{found.label}, {good}: {'; '.join(parts) or 'nothing to compare'}. Bars are 95 % intervals over {over}; the grey band is the margin, "
        f"{found.margin * 100:g} %, within which a difference does not matter."
    )


def headline(frame: pd.DataFrame, metric_name: str) -> str:
    """What it shows, in one line: how many are better, worse, and neither."""
    others = frame[~frame["baseline"]]
    counts = {word: int((others["verdict"] == word).sum()) for word in dict.fromkeys(["better", "worse", *others["verdict"]])}
    said = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    return f"{metric(metric_name).label}: {said or 'nothing to compare'}"


def table(frame: pd.DataFrame, metric_name: str) -> pd.DataFrame:
    """The same as a table."""
    return pd.DataFrame({
        "Variant": frame["variant"],
        metric(metric_name).label: [measured_text(metric_name, r.value, r.low, r.high) if number(r.value) is not None else STATUS.get(r.status, r.status)
                                    for r in frame.itertuples()],
        "Change": [change_text(r) for r in frame["ratio"]],
        "95 % interval": [interval_text(low, high) for low, high in zip(frame["ci_low"], frame["ci_high"], strict=True)],
        "Verdict": [VERDICT.get(v, v) for v in frame["verdict"]], "Point": frame["point_label"], "Rounds": frame["n_rounds"],
        "Remark": [r or "" for r in frame["reason"]],
    })  # fmt: skip


def _kinds(frame: pd.DataFrame, colours: Theme) -> Sequence[tuple[str, str, pd.DataFrame]]:
    drawn = frame[frame["ratio"].notna() & ~frame["baseline"]]
    told = drawn["verdict"].isin(("better", "worse"))
    kinds = (
        ("better", BLUE, drawn[drawn["verdict"] == "better"]), ("worse", VERMILION, drawn[drawn["verdict"] == "worse"]),
        ("neither", colours.faint, drawn[~told]),
    )  # fmt: skip
    return [kind for kind in kinds if len(kind[2])]


def _bars(figure: go.Figure, rows: pd.DataFrame, label: str, colour: str, colours: Theme, hover: dict[str, Any]) -> None:
    hollow = [number(low) is None for low in rows["ci_low"]]
    figure.add_trace(go.Bar(
        x=rows["ratio_percent"], y=list(rows.index), orientation="h", name=label, width=0.6,
        marker=dict(color=[colours.background if h else colour for h in hollow], line=dict(color=colour, width=1.5)),
        error_x=interval_bars(rows, "ratio_percent", "ci_low_percent", "ci_high_percent", 1.0, colours.text), **hover,
    ))  # fmt: skip


def _marks(figure: go.Figure, rows: pd.DataFrame, label: str, colour: str, colours: Theme, hover: dict[str, Any]) -> None:
    hollow = [number(low) is None for low in rows["ci_low"]]
    figure.add_trace(go.Scatter(
        x=rows["ratio_percent"], y=list(rows.index), mode="markers", name=label,
        marker=dict(symbol=["square-open" if h else "square" for h in hollow], size=11, color=colour),
        error_x=interval_bars(rows, "ratio_percent", "ci_low_percent", "ci_high_percent", 1.0, colour), **hover,
    ))  # fmt: skip


def _hover(rows: pd.DataFrame, metric_name: str, beside: Mapping[str, str]) -> dict[str, Any]:
    said = []
    for r in rows.itertuples():
        parts = (value_text(metric_name, r.value), change_text(r.ratio), interval_text(r.ci_low, r.ci_high), VERDICT.get(r.verdict, ""))
        lines = (", ".join(p for p in parts if p), beside.get(r.variant, ""), r.reason or "")
        said.append([chart_text(r.variant, 60), "<br>".join(chart_text(line, 160) for line in lines if line)])
    return {"customdata": said, "hovertemplate": "<b>%{customdata[0]}</b><br>%{customdata[1]}<extra></extra>"}


def _said(figure: go.Figure, frame: pd.DataFrame, words_at: float, colours: Theme) -> None:
    """The change and the word in a column behind all intervals; the word alone where there is no change to draw."""
    texts = [" ".join(t for t in (change_text(r.ratio), VERDICT.get(r.verdict, r.verdict)) if t) for r in frame.itertuples()]
    figure.add_trace(go.Scatter(
        x=[words_at] * len(frame), y=list(range(len(frame))), mode="text", text=texts, textposition="middle right", cliponaxis=False,
        textfont=dict(size=12, color=colours.text), hoverinfo="skip", showlegend=False, name="verdict",
    ))  # fmt: skip


def _reach(frame: pd.DataFrame) -> tuple[float, float]:
    """Over all changes, and over the intervals but for very long ones, which are cut."""
    values = [v for v in frame["ratio_percent"] if number(v) is not None] or [0.0]
    largest = max(max(map(abs, values)), 1.0)
    wide = [v for name in ("ci_low_percent", "ci_high_percent") for v in frame[name] if number(v) is not None and abs(v) <= _OUTLIER * largest]
    low, high = min(0.0, *values, *wide), max(0.0, *values, *wide)
    return low, max(high, low + 1.0)
