"""What stands under each tab of the page that compares: its controls, its chart, what it says. Draws; computes nothing."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from dashboard import show, tables, why, words
from dashboard.charts import samples, scaling, training_memory
from dashboard.comparing import pictures, reading
from dashboard.comparing.pictures import INTERVALS, points_text
from dashboard.comparing.shown import GROUPS, Shown
from dashboard.comparing.table import configuration
from dashboard.comparing.titles import sample_title, sweep_title
from dashboard.pictures import Picture
from engine.metrics import METRICS


def _label(name: str) -> str:
    return METRICS[name].label


def trade_off(shown: Shown) -> None:
    controls = shown.controls
    first, second, third = st.columns(3)
    with first:
        controls.select("x", "Across", _label)
    with second:
        controls.select("y", "Up", _label)
    with third:
        controls.select("by", "Colour by", GROUPS.__getitem__)
    with st.container(horizontal=True):
        controls.toggle("logx", "Log across")
        controls.toggle("logy", "Log up")
        controls.toggle("front", "Pareto front", help="A stepped line through what no other variant beats in both; one for each set of equal conditions.")
    if not controls["x"]:
        st.info("Nothing has been measured yet.")
        return
    _draw(pictures.trade_off(shown, dark=show.dark()), "chart_tradeoff")


def _draw(titled: tuple[str, Picture], key: str) -> None:
    st.subheader(words.escape(titled[0]))
    show.picture(titled[1], key)


def change(shown: Shown) -> None:
    shown.controls.select("change", "Metric", _label)
    name = shown.controls["change"]
    if not name:
        st.info("Nothing here can be compared with a baseline.")
        return
    _draw(pictures.change(shown, name, dark=show.dark(), forest=False), "chart_change")


def distributions(shown: Shown) -> None:
    shown.controls.select("sample", "Metric", _label)
    name = shown.controls["sample"]
    if not name:
        st.info("No samples yet.")
        return
    at = {row.position: row.point_label for row in shown.rows if row.metric == name}
    with show.loading():
        found = reading.samples_of(shown.found)
    frame = samples.sample_frame(found, name, at)
    st.subheader(words.escape(sample_title(frame, name)))
    said = samples.describe(frame) + points_text(shown, name)
    figure = samples.sample_strips(frame, name, dark=show.dark())
    show.chart(figure, said, "chart_samples", lambda: samples.table(frame, name), drawn=frame)


def sweeps(shown: Shown) -> None:
    first, second = st.columns(2)
    with first:
        shown.controls.select("sweep", "Metric", _label)
    with second:
        shown.controls.select("over", "Over", lambda key: key.replace("_", " "))
    name, key = shown.controls["sweep"], shown.controls["over"]
    if not key:
        st.info("No variant here was measured at several batch sizes or lengths.")
        return
    at = {row.position: row.point for row in shown.rows if row.metric == name}
    frame = scaling.sweep_frame(shown.frame, name, key, at)
    figure = scaling.scaling(frame, key, name, dark=show.dark(), capacity=shown.capacity, bands=True)
    st.subheader(words.escape(sweep_title(frame, key, name, shown.conditions)))
    said = f"{scaling.describe(frame, key, name)} Bands and bars: {INTERVALS[0].lower()}{INTERVALS[1:]}"
    show.chart(figure, said, "chart_sweep", lambda: scaling.table(frame, key, name), drawn=frame)


def memory_parts(shown: Shown) -> None:
    bars = pictures.memory_bars(shown, dark=show.dark())
    if bars is None:
        st.info("No memory was measured yet.")
        return
    _draw(bars, "chart_memory")
    split = training_memory.split_frame(shown.flat, None, training_memory.predictions(shown.found.record))
    if len(split):
        st.subheader("What holds it at the peak of a step")
        figure = training_memory.split_bars(split, dark=show.dark())
        show.chart(figure, training_memory.describe(split), "chart_split", lambda: training_memory.split_table(split), drawn=split)


def quality(shown: Shown) -> None:
    shown.controls.select("quality", "Metric", _label)
    name = shown.controls["quality"]
    if name:
        _draw(pictures.change(shown, name, dark=show.dark(), forest=True), "chart_quality")
    if not shown.at["kind"].isin(("quality", "fidelity")).any():
        st.info("Quality: not measured in any of these experiments.")
        return
    own = pictures.by_own_baseline(shown)
    show.table(tables.fidelity(own), "Quality of every variant, and how like the baseline of its own experiment it is.", "chart_fidelity")
    st.caption("Divergence and agreement say how like the baseline of its own experiment a variant answers. They are not accuracy.")


def configurations(shown: Shown) -> None:
    only = shown.controls.on("only")
    table, alike = configuration(shown.found, shown.records, only_differences=only)
    st.subheader(f"{len(table)} setting{'s' * (len(table) != 1)} differ{'s' * (len(table) == 1)}" if only else f"{len(table)} settings")
    if alike:
        st.caption(f"{alike} settings that are the same in all are hidden: switch off “Differences only” above.")
    if len(table):
        show.table(table, "What differs between the variants in techniques, workload, model and environment.", "chart_configuration")


def outputs(shown: Shown) -> None:
    found = shown.answers
    base = next((o for o in found if o.baseline and o.answer is not None), None)
    for problem in dict.fromkeys(o.problem for o in found if o.problem):
        st.caption(words.escape(f"No answer of {', '.join(o.variant for o in found if o.problem == problem)}: {problem}."))
    names = {str(c.ref): c.name for c in shown.columns}
    shown.controls.select("answer", "Beside the baseline", lambda ref: names.get(ref, ref))
    chosen = names.get(shown.controls["answer"])
    pair = [o for o in (base, next((o for o in found if o.variant == chosen), None)) if o is not None]
    if not pair:
        st.info("No variant here has an answer to show: only generation with real weights and a quality run keeps one.")
        return
    why.side_by_side(pair)


DRAWN: dict[str, Callable[[Shown], None]] = {
    "trade-off": trade_off, "change": change, "samples": distributions, "sweeps": sweeps, "memory": memory_parts, "quality": quality,
    "configuration": configurations, "outputs": outputs,
}  # fmt: skip
