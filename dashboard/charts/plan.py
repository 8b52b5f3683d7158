"""A plan as one stacked bar of components, with lines where a GPU's memory ends and where the margin does."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from dashboard.charts.style import BLUE, GOLD, GREEN, GREY, PINK, VERMILION, finish, limit_line, scale, theme
from dashboard.words import chart_text, value_text

PARTS = {
    "weights_bytes": ("weights", BLUE, ""), "kv_cache_bytes": ("KV cache", GOLD, "-"), "gradients_bytes": ("gradients", VERMILION, "/"),
    "optimizer_bytes": ("optimizer", GREEN, "x"), "activations_bytes": ("activations", PINK, "\\"),
    "workspace_bytes": ("workspace", GREY, "."),
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
    for place, text, dash, top in ((usable, f"{gpu} ends here", "solid", True), (needed, "with the margin", "dot", False)):
        limit_line(figure, place * unit.factor, text, colours, dash=dash, top=top)
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
