"""The results of one experiment as pages show them: verdicts, trade-off, scaling, memory, quality. Draws; computes nothing."""

from __future__ import annotations

from collections import Counter

import pandas as pd
import streamlit as st

from dashboard import pictures, show, store, tables, words
from dashboard.controls import Controls
from dashboard.links import ChartView
from engine.control import UNRELIABLE
from engine.decisive import decisive
from engine.flips import flips
from engine.looks import answered
from engine.metrics import METRICS
from engine.record import Record, imported_from

_NOTICEABLE_SHARE = 0.1


def status(record: Record) -> str:
    """How far it is; a bundle whose measuring was stopped early says so, and so does what another tool measured."""
    if (tool := imported_from(record)) is not None:
        return f"imported from {tool}"
    text = words.experiment_status(dict(Counter(r["status"] for r in record["runs"])))
    made = sum(r["kind"] == "speed" for r in record["runs"])
    planned = len(record["variants"]) * record["experiment"]["spec"]["rounds"]
    if made >= planned:
        return text
    if (done := answered(record)) is not None:
        return f"{text}, answered after round {done} of {record['experiment']['spec']['rounds']}"
    return f"{text}, stopped early: {made} of {planned} planned speed runs"


def control(summary: pd.DataFrame) -> None:
    """Says so where the control refutes the timings; silent where it does not, or there is none."""
    refuted = summary[summary["verdict"] == UNRELIABLE]
    if len(refuted):
        st.warning(words.escape(f"The timings of this experiment are unreliable: {refuted.iloc[0]['reason'].partition('; ')[0]}."))


def trade_off(record: Record, summary: pd.DataFrame, view: ChartView, key: str) -> None:
    show.picture(pictures.trade_off(record, summary, view, dark=show.dark()), key)


def scaling_charts(record: Record, summary: pd.DataFrame, controls: Controls) -> None:
    """Deciding metrics and memory over the one number that the points differ in. Nothing where the speed was not measured at several."""
    if not controls["over"]:
        return
    st.header("Scaling", divider="gray")
    controls.segments("over", "Over length", lambda name: METRICS[name].label)
    show.picture(pictures.over_length(record, summary, controls["over"], dark=show.dark()), "scaling")


def memory_chart(record: Record, summary: pd.DataFrame, point: str | None, key: str) -> None:
    show.picture(pictures.memory_bars(record, summary, point, dark=show.dark()), key)


def quality(record: Record, summary: pd.DataFrame) -> None:
    """Quality and likeness to the baseline; for labelled examples also which answers changed."""
    if not summary["kind"].isin(("quality", "fidelity")).any():
        st.markdown("Quality: not measured in this experiment.")
        return
    show.table(tables.fidelity(pictures.without_control(record, summary)), "Quality of every variant, and how like the baseline it is.", "fidelity")
    st.caption("Divergence and agreement say how like the baseline a variant answers. They are not accuracy.")
    with_samples = store.record(record["experiment"]["id"], "quality")
    if with_samples is not None and (found := flips(with_samples)):
        show.table(tables.flips(found), "Right answers that each variant lost and gained against the baseline.", "flips")
        st.caption(
            "McNemar's exact test asks whether as many right answers would be lost and gained by chance; it looks at no other "
            "examples. Its p is shown as it is; verdicts adjust it for all that is compared."
        )


def verdict_table(record: Record, summary: pd.DataFrame, point: str | None, key: str) -> None:
    """The metrics that decide, and a word where the control refutes the speeds, or other programs took much of the CPUs."""
    control(summary)
    show.table(tables.headline(summary, point, decisive(record)), "Every variant with its value, change against the baseline and verdict.", key)
    shares = [(r["details"] or {}).get("cpu_share_of_others", 0.0) for r in record["runs"] if r["kind"] == "speed"]
    if (worst := max(shares, default=0.0)) > _NOTICEABLE_SHARE:
        st.warning(f"Other programs took up to {worst:.0%} of the CPUs during these runs, so speeds vary more than they need to.")
