"""What the trade-off chart shows: named pairs of metrics, one click each, or any two metrics and the point. Draws only the widgets."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard.links import ChartView
from dashboard.words import NOT_MEASURED
from engine.decisive import Decisive
from engine.metrics import METRICS


def named(decides: Decisive) -> dict[str, tuple[str, str]]:
    """{label: (across, up)}. What weights cost in bits is asked where a model's weights are among what decides."""
    views = {"Speed against memory": decides.axes}
    if "weight_bytes" in decides.names and decides.quality is not None:
        views["Quality against weight bits per parameter"] = ("bits_per_parameter", decides.quality)
    return views


def choose(view: ChartView, known: Sequence[str], labels: Sequence[str], decides: Decisive) -> ChartView:
    """view: what the link says. known: metrics of this experiment; a named pair that it did not measure is there, but not to be clicked."""
    for key, value in (("axis_x", view.x), ("axis_y", view.y)):
        if st.session_state.get(key) not in known:
            st.session_state[key] = value
    with st.container(horizontal=True):
        for label, axes in named(decides).items():
            missing = [METRICS[name].label for name in axes if name not in known]
            st.button(label, key=f"show_{axes[0]}", on_click=_show, args=axes, disabled=bool(missing), icon=":material/scatter_plot:",
                      help=f"{' and '.join(missing)}: {NOT_MEASURED} in this experiment" if missing else None)  # fmt: skip
    columns = st.columns(3 if len(labels) > 1 else 2)
    with columns[0]:
        x = st.selectbox("Across", known, format_func=_label, key="axis_x")
    with columns[1]:
        y = st.selectbox("Up", known, format_func=_label, key="axis_y")
    point = view.point
    if len(labels) > 1:
        with columns[2]:
            point = st.selectbox("Point", labels, index=labels.index(view.point) if view.point else 0, key="axis_point")
    return ChartView(str(x), str(y), point)


def _show(x: str, y: str) -> None:
    """Callback: both axes at once."""
    st.session_state["axis_x"], st.session_state["axis_y"] = x, y


def _label(name: str) -> str:
    return METRICS[name].label
