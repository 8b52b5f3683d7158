"""What the trade-off chart shows: named pairs of metrics, one click each, or any two metrics and the point. Draws only the widgets."""

from __future__ import annotations

import streamlit as st

from dashboard import controls as state
from dashboard.controls import Controls
from dashboard.words import NOT_MEASURED
from engine.decisive import Decisive
from engine.metrics import METRICS


def named(decides: Decisive) -> dict[str, tuple[str, str]]:
    """{label: (across, up)}. What weights cost in bits is asked where a model's weights are among what decides."""
    views = {"Speed against memory": decides.axes}
    if "weight_bytes" in decides.names and decides.quality is not None:
        views["Quality against weight bits per parameter"] = ("bits_per_parameter", decides.quality)
    return views


def choose(controls: Controls, decides: Decisive) -> None:
    """A named pair that this experiment did not measure is there, but not to be clicked."""
    known = controls.offers["x"].options
    with st.container(horizontal=True):
        for label, axes in named(decides).items():
            missing = [METRICS[name].label for name in axes if name not in known]
            st.button(label, key=f"show_{axes[0]}", on_click=_show, args=(controls.owner, *axes), disabled=bool(missing), icon=":material/scatter_plot:",
                      help=f"{' and '.join(missing)}: {NOT_MEASURED} in this experiment" if missing else None)  # fmt: skip
    several = len(controls.offers["point"].options) > 1
    for column, (name, label) in zip(st.columns(3 if several else 2), [("x", "Across"), ("y", "Up"), *([("point", "Point")] if several else [])], strict=True):
        with column:
            controls.select(name, label, str if name == "point" else _label)


def _show(owner: str, x: str, y: str) -> None:
    """Callback: both axes at once."""
    state.ask(owner, {**state.asked(owner), "x": x, "y": y})


def _label(name: str) -> str:
    return METRICS[name].label
