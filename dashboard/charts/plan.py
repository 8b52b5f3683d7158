"""A plan as one stacked bar of components, with lines where a GPU's memory ends and where the margin does."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from dashboard.charts.style import finish, scale, theme
from dashboard.words import chart_text, value_text

PARTS = {
    "weights_bytes": ("weights", "#0072B2", ""), "kv_cache_bytes": ("KV cache", "#B8860B", "-"), "gradients_bytes": ("gradients", "#D55E00", "/"),
    "optimizer_bytes": ("optimizer", "#009E73", "x"), "activations_bytes": ("activations", "#CC79A7", "\\"),
    "workspace_bytes": ("workspace", "#7A7A7A", "."),
}  # fmt: skip
"""Colours and patterns of the same parts as in the chart of measured ones."""
_HEIGHT = 220


def plan_bar(answer: dict[str, Any], *, dark: bool) -> go.Figure:
    """answer: engine.planning.plan_request.answer."""
    colours = theme(dark)
    usable, needed = answer["gpu"]["usable_bytes"], answer["needed_bytes"]
    unit = scale("peak_memory_bytes", [usable, needed], from_zero=True)
    figure = go.Figure()
    for name, (label, colour, pattern) in PARTS.items():
        value = answer["components"][name]
        figure.add_trace(go.Bar(
            y=[""], x=[value * unit.factor], orientation="h", name=label,
            marker=dict(color=colour, pattern=dict(shape=pattern, solidity=0.25, fgcolor=colours.background)),
            hovertemplate=f"{label}: {value_text('peak_memory_bytes', value)}<extra></extra>",
        ))  # fmt: skip
    finish(figure, colours, _HEIGHT)
    gpu = chart_text(answer["gpu"]["name"], 24)
    for place, text, dash, position in ((usable, f"{gpu} ends here", "solid", "top"), (needed, "with the margin", "dot", "bottom")):
        figure.add_vline(x=place * unit.factor, line=dict(color=colours.text, width=2, dash=dash))
        figure.add_annotation(x=place * unit.factor, y=1 if position == "top" else 0, yref="paper", text=text, showarrow=False,
                              xanchor="right", xshift=-4, font=dict(size=12, color=colours.text))  # fmt: skip
    figure.update_layout(barmode="stack", bargap=0.4, legend_traceorder="normal")
    figure.update_xaxes(title_text=f"On each GPU, predicted ({unit.title.partition('(')[2].rstrip(')')})",
                        range=[0, max(usable, needed) * unit.factor * 1.05])  # fmt: skip
    return figure


def describe(answer: dict[str, Any]) -> str:
    """The bar in words."""
    parts = [f"{PARTS[name][0]} {value_text('peak_memory_bytes', value)}" for name, value in answer["components"].items() if value]
    gpu = answer["gpu"]
    return (
        f"Predicted peak of {answer['variant']} on each GPU: {value_text('peak_memory_bytes', answer['peak_memory_bytes'])} "
        f"({answer['moment']}): {', '.join(parts)}. {gpu['name']} has {value_text('peak_memory_bytes', gpu['usable_bytes'])} for it."
    )
