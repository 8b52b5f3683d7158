"""The trade-off scatter: two metrics against each other, one mark per variant, and what could not be drawn with its reason.

No variant is ever missing: what has no value on one of the axes stands in a strip below the chart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from dashboard.charts import labels
from dashboard.charts.style import (
    Look,
    Scale,
    Theme,
    axis_range,
    end_in_sight,
    finish,
    interval_bars,
    limit_line,
    line_look,
    look,
    scale,
    symbols,
    theme,
)
from dashboard.words import (
    NOT_MEASURED,
    STATUS,
    VERDICT,
    change_text,
    chart_text,
    interval_text,
    measured_text,
    value_text,
)
from engine.analysis import IMPORTED
from engine.measurement import Status
from engine.metrics import metric

HEIGHT, STRIP_ROW = 400, 22
_NAMED = 12
"""With more variants than this only those on the front carry their name."""


@dataclass(frozen=True)
class Choices:
    """What the reader may choose. log_x, log_y: None for what the spread asks for. crosshair: lines through the baseline.

    groups: {variant: label}, to colour by something else than the technique family.
    """

    log_x: bool | None = None
    log_y: bool | None = None
    front: bool = True
    crosshair: bool = False
    groups: Mapping[str, str] | None = None


def tradeoff(
    points: pd.DataFrame, x: str, y: str, families: Mapping[str, str], *, dark: bool, beside: Mapping[str, str] | None = None,
    capacity: float | None = None, choices: Choices = Choices(),
) -> go.Figure:  # fmt: skip
    """points: engine.tradeoff.wide. families: {variant: technique family}. beside: {variant: text for the hover}, its quality.

    capacity: bytes of the device's memory. Error bars are the 95 % intervals where there are any; a mark of a single round is
    hollow. The Pareto front is a stepped line, one for each set of equal conditions. What ran out of memory is marked where memory ends.
    """
    colours = theme(dark)
    drawn = points[points["x"].notna() & points["y"].notna()]
    missing = points[points["x"].isna() | points["y"].isna()]
    ends = {axis: end_in_sight(name, points[axis], capacity, points["status"]) for axis, name in (("x", x), ("y", y))}
    scales = scale(x, _with(drawn["x"], ends["x"]), log=choices.log_x), scale(y, _with(drawn["y"], ends["y"]), log=choices.log_y)
    figure = go.Figure()
    for _, rows in drawn.groupby("alike") if choices.front else ():
        _front(figure, rows, scales, x, colours)
    for axis, name, s in (("x", x, scales[0]), ("y", y, scales[1])):
        _axis(figure, axis, drawn, s, from_zero=metric(name).kind == "memory", end=ends[axis])
    drawn = _named(figure, drawn, scales, all_of_them=len(points) <= _NAMED)
    for style, rows in _groups(drawn, families, choices.groups, colours):
        _marks(figure, rows, scales, (x, y), style, colours, beside or {})
    height = HEIGHT + STRIP_ROW * len(missing)
    finish(figure, colours, height)
    for axis, name, s in (("x", x, scales[0]), ("y", y, scales[1])):
        end = ends[axis]
        if end is not None:
            limit_line(figure, end * s.factor, f"{value_text(name, end)} in the device", colours, axis=axis, log=s.log)
    for axis, s in zip("xy", scales, strict=True):
        if (end := ends[axis]) is not None:
            _lost(figure, missing, end * s.factor, colours, axis)
    if choices.crosshair:
        _crosshair(figure, drawn, scales, colours)
    _strip(figure, missing, colours, height)
    return figure


def describe(points: pd.DataFrame, x: str, y: str) -> str:
    """The chart in words, for those who do not see it, and for its caption."""
    drawn = points["x"].notna() & points["y"].notna()
    front = [str(name) for name in points[points["on_front"]]["variant"]]
    text = f"{metric(y).label} against {metric(x).label} of {int(drawn.sum())} of {len(points)} variants."
    if once := int(((points["rounds"] == 1) & ~points["imported"] & drawn).sum()):
        text += f" Hollow: {once} measured in one round only, without an interval."
    if theirs := [str(name) for name in points[points["imported"] & drawn]["variant"]]:
        text += f" With a dot: imported, measured by another tool, and no part of the front: {', '.join(theirs)}."
    if front:
        text += f" On the Pareto front (no other variant is better in both): {', '.join(front)}."
    if not drawn.all():
        missing = [f"{r.variant} ({STATUS.get(r.status, NOT_MEASURED)[2:]})" for r in points[~drawn].itertuples()]
        text += f" Not drawn: {', '.join(missing)}."
    return text


def table(points: pd.DataFrame, x: str, y: str) -> pd.DataFrame:
    """The same as a table: every variant with both values, their intervals and changes, and what could not be drawn with its reason."""
    rows = []
    for row in points.itertuples():
        cells = [
            text
            for axis, name in (("x", x), ("y", y))
            for text in (
                measured_text(name, *(getattr(row, axis + s) for s in ("", "_low", "_high"))), change_text(getattr(row, f"{axis}_ratio")),
            )
        ]  # fmt: skip
        front = "yes" if row.on_front else ""
        rows.append((row.variant, *cells, row.rounds, front, STATUS.get(row.status, row.status), row.reason or ""))
    columns = [text for name in (x, y) for text in (metric(name).label, f"Change of {metric(name).label.lower()}")]
    frame = pd.DataFrame(rows, columns=["Variant", *columns, "Rounds", "On the front", "Status", "Remark"])
    return frame.loc[:, ~frame.columns.duplicated()]  # both axes may be the same metric


def _with(values: pd.Series, end: float | None) -> list[float]:
    return [*values] if end is None else [*values, end]


def _groups(
    drawn: pd.DataFrame, families: Mapping[str, str], groups: Mapping[str, str] | None, colours: Theme
) -> list[tuple[Look, pd.DataFrame]]:
    """[(look, rows)]; the baseline is a group of its own, and so is what another program measured."""
    of_row = drawn["variant"].map(lambda name: families.get(name, "other") if groups is None else groups.get(name, "other"))
    of_row = of_row.mask(drawn["imported"], IMPORTED)
    kinds = list(dict.fromkeys(of_row))
    found = {
        kind: look(kind) if groups is None or kind == IMPORTED else Look(kind, *line_look(i, baseline=False, colours=colours)[:2])
        for i, kind in enumerate(kinds)
    }
    result = [(found[kind], drawn[(of_row == kind) & (~drawn["baseline"] | drawn["imported"])]) for kind in kinds]
    result.append((Look("baseline", colours.text, "diamond"), drawn[drawn["baseline"] & ~drawn["imported"]]))
    return [g for g in result if len(g[1])]


def _named(figure: go.Figure, drawn: pd.DataFrame, scales: tuple[Scale, Scale], *, all_of_them: bool) -> pd.DataFrame:
    """With the name that stands at each mark, and its side."""
    shown = [chart_text(r.variant, 26) if all_of_them or r.on_front else "" for r in drawn.itertuples()]
    if not shown:
        return drawn.assign(shown=shown, side=[])
    x = labels.pixels(drawn["x"] * scales[0].factor, figure.layout.xaxis, labels.WIDTH)
    y = labels.pixels(drawn["y"] * scales[1].factor, figure.layout.yaxis, labels.HEIGHT)
    return drawn.assign(shown=shown, side=labels.sides(x, y, shown))


def _marks(
    figure: go.Figure, rows: pd.DataFrame, scales: tuple[Scale, Scale], names: tuple[str, str], style: Look, colours: Theme,
    beside: Mapping[str, str],
) -> None:  # fmt: skip
    figure.add_trace(go.Scatter(
        x=rows["x"] * scales[0].factor, y=rows["y"] * scales[1].factor, name=chart_text(style.label), mode="markers+text",
        text=list(rows["shown"]), textposition=list(rows["side"]), textfont=dict(size=12, color=colours.text), cliponaxis=False,
        marker=dict(color=style.colour, symbol=symbols(style.symbol, rows["rounds"], rows["imported"]), size=12,
                    line=dict(width=[2 if n == 1 else 1 for n in rows["rounds"]], color=colours.background)),
        error_x=interval_bars(rows, "x", "x_low", "x_high", scales[0].factor, style.colour),
        error_y=interval_bars(rows, "y", "y_low", "y_high", scales[1].factor, style.colour),
        customdata=[[chart_text(r.variant, 60), _hover(r, names, beside)] for r in rows.itertuples()],
        hovertemplate="<b>%{customdata[0]}</b><br>%{customdata[1]}<extra></extra>",
    ))  # fmt: skip


def _lost(figure: go.Figure, missing: pd.DataFrame, end: float, colours: Theme, axis: str) -> None:
    """What ran out of memory, on the line where memory ends, one beside the other at the foot of the other axis."""
    lost = missing[missing["status"] == Status.OUT_OF_MEMORY]
    other = figure.layout.yaxis if axis == "x" else figure.layout.xaxis
    if lost.empty or other.range is None:
        return
    low, high = other.range
    places = [low + (high - low) * 0.05 * (i + 1) for i in range(len(lost))]
    feet = [10**p for p in places] if other.type == "log" else places
    ends = [end] * len(lost)
    figure.add_trace(go.Scatter(
        x=ends if axis == "x" else feet, y=feet if axis == "x" else ends, mode="markers", name="did not fit", cliponaxis=False,
        marker=dict(symbol="x-thin", size=12, line=dict(width=3, color=colours.text)),
        customdata=[[chart_text(r.variant, 60), chart_text(r.reason or "", 200)] for r in lost.itertuples()],
        hovertemplate="<b>%{customdata[0]}</b><br>did not fit<br>%{customdata[1]}<extra></extra>",
    ))  # fmt: skip


def _crosshair(figure: go.Figure, drawn: pd.DataFrame, scales: tuple[Scale, Scale], colours: Theme) -> None:
    """Through the baseline, where there is one only: what lies beyond it in the good directions is better in both."""
    base = drawn[drawn["baseline"]]
    if len(base) == 1:
        line = dict(color=colours.faint, width=1, dash="dot")
        figure.add_vline(x=base["x"].iloc[0] * scales[0].factor, line=line)
        figure.add_hline(y=base["y"].iloc[0] * scales[1].factor, line=line)


def _hover(row: Any, names: tuple[str, str], beside: Mapping[str, str]) -> str:
    lines = []
    for axis, name in zip("xy", names, strict=True):
        text = f"{metric(name).label}: {measured_text(name, *(getattr(row, axis + suffix) for suffix in ('', '_low', '_high')))}"
        change, verdict = change_text(getattr(row, f"{axis}_ratio")), getattr(row, f"{axis}_verdict")
        lines.append(", ".join(t for t in (text, change, VERDICT.get(verdict, "")) if t))
    if row.variant in beside:
        lines.append(chart_text(beside[row.variant], 80))
    return "<br>".join(lines)


def _front(figure: go.Figure, drawn: pd.DataFrame, scales: tuple[Scale, Scale], x: str, colours: Theme) -> None:
    front = drawn[drawn["on_front"]].sort_values(["x", "y"])
    if len(front) < 2:
        return
    shape = "vh" if metric(x).higher_is_better else "hv"
    again = any(trace.name == "Pareto front" for trace in figure.data)
    figure.add_trace(go.Scatter(
        x=front["x"] * scales[0].factor, y=front["y"] * scales[1].factor, mode="lines", name="Pareto front", hoverinfo="skip",
        legendgroup="front", showlegend=not again,
        line=dict(shape=shape, color=colours.faint, width=1.5, dash="dot"),
    ))  # fmt: skip


def _axis(figure: go.Figure, axis: str, drawn: pd.DataFrame, s: Scale, *, from_zero: bool, end: float | None) -> None:
    update = figure.update_xaxes if axis == "x" else figure.update_yaxes
    update(title_text=s.title, type="log" if s.log else "linear")
    if len(drawn):
        first, last = _reach(drawn, axis, s)
        last = max(last, end or 0.0)
        update(range=axis_range(first * s.factor, last * s.factor, s.log, from_zero, room=0.18 if axis == "x" else 0.14))


def _reach(drawn: pd.DataFrame, axis: str, s: Scale) -> tuple[float, float]:
    """From where to where an axis must go: over all intervals, but a very long one is cut rather than the marks squeezed."""
    first, last = float(drawn[axis].min()), float(drawn[axis].max())
    if s.log:
        return first, last
    room = (last - first) / 2 or abs(last) / 2
    lows, highs = drawn[f"{axis}_low"].fillna(first), drawn[f"{axis}_high"].fillna(last)
    return max(min(first, float(lows.min())), first - room), min(max(last, float(highs.max())), last + room)


def _strip(figure: go.Figure, missing: pd.DataFrame, colours: Theme, height: int) -> None:
    """One line below the chart per variant without a place in it: its name and why."""
    for line, row in enumerate(missing.itertuples()):
        why = STATUS.get(row.status, NOT_MEASURED)
        figure.add_annotation(
            text=f"{why[:1]} <b>{chart_text(row.variant, 26)}</b> {why[2:]}", hovertext=chart_text(row.reason or why, 200),
            xref="paper", yref="paper", x=0, y=0, yshift=-(62 + STRIP_ROW * line), xanchor="left", yanchor="top",
            showarrow=False, align="left", font=dict(size=12, color=colours.text), name="not drawn",
        )  # fmt: skip
    if len(missing):
        figure.update_layout(margin_b=70 + STRIP_ROW * len(missing), height=height + 30)


def quality_texts(summary: pd.DataFrame, quality: str | None) -> dict[str, str]:
    """{variant: 'Perplexity: 30.1, +2.0 %, worse'}: what stands beside every speed. 'not measured' where it was not."""
    if quality is None:
        return {}
    label = metric(quality).label
    rows = summary[summary["metric"] == quality].drop_duplicates("position")
    texts = {str(name): f"{label}: {NOT_MEASURED}" for name in summary["variant"].unique()}
    for row in rows.itertuples():
        parts = (value_text(quality, row.value), change_text(row.ratio), interval_text(row.ci_low, row.ci_high))
        texts[row.variant] = f"{label}: " + ", ".join(p for p in parts if p)
    return texts
