"""The loss of every training step: over the tokens trained on, or over the seconds that it took. One line per variant, the baseline among them."""

from __future__ import annotations

from typing import Literal

import pandas as pd
import plotly.graph_objects as go

from dashboard.charts.style import axis_range, finish, line_look, theme
from dashboard.words import change_text, chart_text, number, seconds_text, value_text
from engine.record import Record

Over = Literal["tokens", "seconds"]
OVER: dict[Over, str] = {"tokens": "Over tokens", "seconds": "Over wall time"}
COLUMNS = ("variant", "position", "baseline", "step", "tokens", "seconds", "loss")
_AXIS: dict[Over, str] = {"tokens": "Tokens trained on", "seconds": "Seconds since the first step began"}
_HEIGHT, _QUALITIES = 420, ("perplexity_before_training", "perplexity", "merged_perplexity")


def loss_frame(record: Record) -> pd.DataFrame:
    """One row per variant and step, in their order, from the run that measured the variant's quality; empty where none trained.

    Columns: COLUMNS. tokens and seconds are those at the end of the step; the loss is in nats.
    """
    rows = []
    for run in record["runs"]:
        curve = (run["details"] or {}).get("loss_curve")
        if curve:
            variant = record["variants"][run["variant"]]
            rows += [
                (variant["name"], run["variant"], variant["baseline"], step, step * curve["tokens_per_step"], seconds, loss)
                for step, (seconds, loss) in enumerate(zip(curve["seconds"], curve["loss"], strict=True), 1)
            ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).sort_values(["position", "step"], kind="stable", ignore_index=True)


def loss_lines(frame: pd.DataFrame, over: Over, *, dark: bool) -> go.Figure:
    """frame: loss_frame. Steps are drawn as they are: a smoothed line would hide how much they vary."""
    colours = theme(dark)
    figure = go.Figure()
    for position, rows in frame.groupby("position"):
        colour, symbol, dash = line_look(int(str(position)), baseline=bool(rows["baseline"].iloc[0]), colours=colours)
        figure.add_trace(go.Scatter(
            x=rows[over], y=rows["loss"], mode="lines+markers", name=chart_text(rows["variant"].iloc[0], 26),
            line=dict(color=colour, width=2, dash=dash), marker=dict(symbol=symbol, size=6, color=colour),
            customdata=[[chart_text(r.variant, 60), r.step, f"{r.tokens:,}", seconds_text(r.seconds), f"{r.loss:.4g}"] for r in rows.itertuples()],
            hovertemplate="<b>%{customdata[0]}</b>, step %{customdata[1]}<br>loss %{customdata[4]} after %{customdata[2]} tokens, "
                          "%{customdata[3]}<extra></extra>",
        ))  # fmt: skip
    finish(figure, colours, _HEIGHT)
    figure.update_xaxes(title_text=_AXIS[over], rangemode="tozero")
    figure.update_yaxes(title_text="Training loss (nats per token)")
    if len(frame):
        figure.update_yaxes(range=axis_range(frame["loss"].min(), frame["loss"].max(), False, False, room=0.08))
        figure.update_xaxes(range=axis_range(0.0, frame[over].max(), False, True, room=0.04))
    return figure


def describe(frame: pd.DataFrame, over: Over) -> str:
    """The lines in words: where each began and ended, and on what."""
    texts = []
    for _, rows in frame.groupby("position"):
        first, last = rows.iloc[0], rows.iloc[-1]
        end = f"{int(last['tokens']):,} tokens" if over == "tokens" else seconds_text(last["seconds"])
        texts.append(f"{last['variant']} from {first['loss']:.3g} to {last['loss']:.3g} after {end}")
    return f"Loss of single steps, each on other text: {'; '.join(texts)}."


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """The lines as a table: one row per variant and step."""
    return pd.DataFrame({
        "Variant": frame["variant"], "Step": frame["step"], "Tokens": [f"{int(t):,}" for t in frame["tokens"]],
        "Time": [f"{s:.2f} s" for s in frame["seconds"]], "Loss": [f"{v:.4f}" for v in frame["loss"]],
    })  # fmt: skip


def loss_table(frame: pd.DataFrame, summary: pd.DataFrame, record: Record) -> pd.DataFrame:
    """One row per variant that trained: losses of the first and the last quarter, tokens, time, and held-out perplexity."""
    merged = {r["variant"]: r["details"]["merged"] for r in record["runs"] if (r["details"] or {}).get("merged")}
    rows = []
    for position, own in frame.groupby("position"):
        quarter = max(len(own) // 4, 1)
        losses = own["loss"]
        values = {name: _value(summary, name, int(str(position))) for name in _QUALITIES}
        change = change_text(merged[position]["ratio"]) if position in merged else ""
        rows.append((
            own["variant"].iloc[0], len(own), f"{int(own['tokens'].iloc[-1]):,}", seconds_text(own["seconds"].iloc[-1]),
            f"{losses.iloc[:quarter].mean():.3f}", f"{losses.iloc[-quarter:].mean():.3f}", *values.values(), change,
        ))  # fmt: skip
    names = ("Variant", "Steps", "Tokens", "Time", "Loss, first quarter", "Loss, last quarter", "Held-out perplexity before",
             "Held-out perplexity after", "With the adapter merged", "Change by merging")  # fmt: skip
    table = pd.DataFrame(rows, columns=list(names))
    return table if merged else table.drop(columns=list(names[-2:]))


def _value(summary: pd.DataFrame, name: str, position: int) -> str:
    rows = summary[(summary["metric"] == name) & (summary["position"] == position)]
    value = number(rows["value"].iloc[0]) if len(rows) else None
    return value_text(name, value) if value is not None else ""
