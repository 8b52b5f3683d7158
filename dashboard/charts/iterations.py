"""Every iteration of one variant's runs in the order in which they were made, one line per round; the warm-up is shaded.

From the frame of dashboard/charts/samples.py. What lies far from its run's other samples is marked and stays.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from dashboard.charts.style import axis_range, finish, line_look, scale, theme
from dashboard.words import chart_text, value_text
from engine.metrics import metric

_HEIGHT = 340
_FAR = 3.5
"""Times the median deviation, scaled to a normal distribution's: the usual limit of the modified z-score (Iglewicz and Hoaglin, 1993)."""
_FEWEST = 5
_TICKS = 12


def iteration_frame(frame: pd.DataFrame, variant: str) -> pd.DataFrame:
    """frame: samples.sample_frame. Adds `iteration` (1 is the first sample, 0 and below are warm-ups) and `far`."""
    own = frame[frame["variant"] == variant].copy()
    warmups = own[own["warmup"]].groupby("round")["sample"].transform("max").reindex(own.index)
    own["iteration"] = own["sample"] + 1
    own.loc[own["warmup"], "iteration"] = own["sample"] - warmups
    own["iteration"] = own["iteration"].astype("int64")
    own["far"] = False
    for _, run in own[~own["warmup"]].groupby("round"):
        own.loc[run.index, "far"] = _far(run["value"])
    return own.sort_values(["round", "iteration"], ignore_index=True)


def _far(values: pd.Series) -> pd.Series:
    apart = (values - values.median()).abs()
    spread = 1.4826 * apart.median()
    return apart > _FAR * spread if len(values) >= _FEWEST and spread > 0 else apart < 0


def iteration_lines(frame: pd.DataFrame, metric_name: str, *, dark: bool) -> go.Figure:
    """frame: iteration_frame."""
    colours, s = theme(dark), scale(metric_name, list(frame["value"]))
    figure = go.Figure()
    for number, (round_, run) in enumerate(frame.groupby("round")):
        colour, symbol, dash = line_look(number, baseline=False, colours=colours)
        counted = bool(run["counted"].any())
        marks = [f"{symbol}-open" if w else "triangle-up" if f else symbol for w, f in zip(run["warmup"], run["far"], strict=True)]
        figure.add_trace(go.Scatter(
            x=run["iteration"], y=run["value"] * s.factor, mode="lines+markers", name=f"round {int(round_) + 1}{'' if counted else ', left out'}",
            line=dict(color=colour if counted else colours.faint, dash=dash, width=1), marker=dict(symbol=marks, size=7),
            customdata=[[int(r.round) + 1, value_text(metric_name, r.value), _kind(r)] for r in run.itertuples()],
            hovertemplate="round %{customdata[0]}, iteration %{x}: %{customdata[1]}<br>%{customdata[2]}<extra></extra>",
        ))  # fmt: skip
    if frame["warmup"].any():
        figure.add_vrect(x0=int(frame["iteration"].min()) - 0.5, x1=0.5, fillcolor=colours.faint, opacity=0.15, line_width=0,
                         annotation_text="warm-up", annotation_position="top left")  # fmt: skip
    finish(figure, colours, _HEIGHT)
    count = int(frame["iteration"].max() - frame["iteration"].min()) + 1 if len(frame) else 1
    figure.update_xaxes(title_text="Iteration", tick0=1, dtick=max(1, round(count / _TICKS)))
    figure.update_yaxes(title_text=s.title, type="log" if s.log else "linear")
    if len(frame):
        scaled = frame["value"] * s.factor
        figure.update_yaxes(range=axis_range(scaled.min(), scaled.max(), s.log, from_zero=False, room=0.08))
    return figure


def _kind(row: Any) -> str:
    """row: of the frame's itertuples."""
    if row.warmup:
        return "warm-up, not counted"
    return ("counted" if row.counted else "round left out") + (", far from the others" if row.far else "")


def describe(frame: pd.DataFrame, metric_name: str) -> str:
    """The lines in words."""
    if frame.empty:
        return "No samples yet."
    counted, far = frame[~frame["warmup"]], int(frame["far"].sum())
    rounds = counted["round"].nunique()
    text = f"{metric(metric_name).label} of {chart_text(str(frame.iloc[0]['variant']))}: {len(counted)} iterations in {rounds} round{'s' * (rounds != 1)}"
    text += f" after {int(frame['warmup'].sum())} of warm-up, which do not count."
    return text + (f" {far} lie{'s' * (far == 1)} far from the others of the same run; marked, and counted all the same." if far else "")


def table(frame: pd.DataFrame, metric_name: str) -> pd.DataFrame:
    """The same as a table."""
    return pd.DataFrame({
        "Round": frame["round"] + 1, "Iteration": frame["iteration"], "Kind": [_kind(r) for r in frame.itertuples()],
        metric(metric_name).label: [value_text(metric_name, v) for v in frame["value"]],
    })  # fmt: skip
