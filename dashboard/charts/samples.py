"""Every raw sample of one metric, in a strip per variant with one line per round.

Only what engine.cells counts is drawn full; warm-ups and the samples of rounds that were left out are hollow.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from dashboard.charts.style import Theme, axis_range, finish, look, scale, theme
from dashboard.words import chart_text, value_text
from engine.cells import cells, point_label
from engine.metrics import metric
from engine.record import Record

COLUMNS = ("variant", "position", "round", "sample", "warmup", "value", "counted")
_ROW, _FRAME, _SPREAD = 46, 100, 0.56


def sample_frame(record: Record, metric_name: str, point: str | Mapping[int, str]) -> pd.DataFrame:
    """One row per raw sample; `counted` is False for warm-ups and where its round is left out.

    The record must be loaded with all samples. point: its label, or that of each position that is wanted.
    """
    at = point if isinstance(point, Mapping) else dict.fromkeys(range(len(record["variants"])), point)
    counting = {
        (position, outcome.round)
        for cell in cells(record) if cell.metric.name == metric_name
        for position, outcomes in enumerate(cell.outcomes) if at.get(position) == point_label(cell.point)
        for outcome in outcomes if outcome.value is not None
    }  # fmt: skip
    rows = []
    for run in record["runs"]:
        key = run["variant"], run["round"]
        name = record["variants"][run["variant"]]["name"]
        for m in run["measurements"]:
            if m["metric"] == metric_name and at.get(run["variant"]) == point_label(m["point"]):
                for warmup, values in ((True, m["warmups"]), (False, m["samples"])):
                    rows += [(name, *key, i, warmup, v, key in counting and not warmup) for i, v in enumerate(values)]
    return pd.DataFrame(rows, columns=list(COLUMNS)).sort_values(["position", "round"], kind="stable", ignore_index=True)


def sample_strips(frame: pd.DataFrame, metric_name: str, *, dark: bool) -> go.Figure:
    """frame: sample_frame."""
    colours, s = theme(dark), scale(metric_name, list(frame["value"]))
    order = frame.drop_duplicates("position")
    rounds = max(int(frame["round"].max()) + 1, 1) if len(frame) else 1
    line = frame["position"] + (frame["round"] + 0.5) / rounds * _SPREAD - _SPREAD / 2
    figure = go.Figure()
    for label, symbol, chosen in (
        ("counted sample", "circle", frame["counted"]),
        ("round left out, not counted", "x-thin-open", ~frame["counted"] & ~frame["warmup"]),
        ("warm-up, not counted", "circle-open", frame["warmup"]),
    ):
        rows = frame[chosen.astype(bool)]
        if rows.empty:
            continue
        figure.add_trace(go.Scatter(
            x=rows["value"] * s.factor, y=line[rows.index], mode="markers", name=label,
            marker=dict(symbol=symbol, size=8, opacity=0.8, color=look("precision").colour if symbol == "circle" else colours.faint),
            customdata=[[chart_text(r.variant, 60), r.round + 1, value_text(metric_name, r.value)] for r in rows.itertuples()],
            hovertemplate="<b>%{customdata[0]}</b><br>round %{customdata[1]}: %{customdata[2]}<extra></extra>",
        ))  # fmt: skip
    _medians(figure, frame, metric_name, s.factor, colours)
    finish(figure, colours, _FRAME + _ROW * max(len(order), 1))
    names = [chart_text(name, 24) for name in order["variant"]]
    figure.update_yaxes(autorange="reversed", tickvals=list(order["position"]), ticktext=names, zeroline=False)
    figure.update_xaxes(title_text=s.title, type="log" if s.log else "linear")
    if len(frame):
        scaled = frame["value"] * s.factor
        figure.update_xaxes(range=axis_range(scaled.min(), scaled.max(), s.log, from_zero=False, room=0.06))
    return figure


def table(frame: pd.DataFrame, metric_name: str) -> pd.DataFrame:
    """The same as a table: one row per sample, in order of variant and round."""
    kinds = ["warm-up" if warmup else "counted" if counted else "round left out" for warmup, counted in zip(frame["warmup"], frame["counted"], strict=True)]
    return pd.DataFrame({
        "Variant": frame["variant"], "Round": frame["round"] + 1, "Sample": frame["sample"] + 1, "Kind": kinds,
        metric(metric_name).label: [value_text(metric_name, v) for v in frame["value"]],
    })  # fmt: skip


def _medians(figure: go.Figure, frame: pd.DataFrame, metric_name: str, factor: float, colours: Theme) -> None:
    """Across the strip of each variant: the median of what counts, which bad samples do not move."""
    middles = frame[frame["counted"].astype(bool)].groupby(["position", "variant"], sort=True)["value"].median().reset_index()
    if len(middles):
        figure.add_trace(go.Scatter(
            x=middles["value"] * factor, y=middles["position"], mode="markers", name="median of the counted samples",
            marker=dict(symbol="line-ns", size=26, line=dict(width=2, color=colours.text)),
            customdata=[[chart_text(r.variant, 60), value_text(metric_name, r.value)] for r in middles.itertuples()],
            hovertemplate="<b>%{customdata[0]}</b><br>median: %{customdata[1]}<extra></extra>",
        ))  # fmt: skip


def describe(frame: pd.DataFrame) -> str:
    """The strips in words."""
    if frame.empty:
        return "No samples yet."
    counted, left_out = frame[frame["counted"]], int((~frame["counted"] & ~frame["warmup"]).sum())
    rounds = counted["round"].nunique()
    return (
        f"{len(counted)} samples of {counted['variant'].nunique()} variants in {rounds} round{'s' * (rounds != 1)} count; "
        f"{int(frame['warmup'].sum())} warm-up samples{f' and {left_out} of rounds that were left out' if left_out else ''} do not. "
        "Lines within a strip are rounds, first on top; the long mark is the median of the counted samples."
    )
