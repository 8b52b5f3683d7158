"""What stands under each tab of the page that compares: its controls, its chart, what it says. Draws; computes nothing."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from dashboard import show, tables, why, words
from dashboard.charts import changes, memory, samples, scaling, tradeoff, training_memory
from dashboard.comparing import reading
from dashboard.comparing.shown import GROUPS, Shown
from dashboard.comparing.table import configuration
from dashboard.comparing.titles import memory_title, sample_title, sweep_title, trade_off_title
from engine.metrics import METRICS, metric
from engine.tradeoff import wide

_INTERVALS = "Intervals are 95 % t-intervals over rounds, from 3 rounds on."


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
    x, y = controls["x"], controls["y"]
    if not x:
        st.info("Nothing has been measured yet.")
        return
    points = wide(shown.flat, x, y)
    choices = tradeoff.Choices(controls.on("logx"), controls.on("logy"), controls.on("front"), crosshair=True, groups=shown.groups)
    beside = tradeoff.quality_texts(shown.flat, shown.found.decides.quality)
    figure = tradeoff.tradeoff(points, x, y, shown.families, dark=show.dark(), beside=beside, capacity=shown.capacity, choices=choices)
    st.subheader(words.escape(trade_off_title(points, x, y)))
    said = f"{tradeoff.describe(points, x, y)} {_INTERVALS}{_points_text(shown, x, y)}"
    show.chart(figure, said, "chart_tradeoff", lambda: tradeoff.table(points, x, y))


def _points_text(shown: Shown, *names: str) -> str:
    """Where the columns were measured at different points, which."""
    found: dict[str, list[str]] = {}
    for row in shown.rows:
        if row.metric in names and row.value is not None and row.point:
            found.setdefault(row.point_label, []).append(row.variant)
    if len({frozenset(of) for of in found.values()}) < 2:
        return ""
    return " Measured at different points: " + "; ".join(f"{', '.join(dict.fromkeys(of))} at {label}" for label, of in found.items()) + "."


def change(shown: Shown) -> None:
    shown.controls.select("change", "Metric", _label)
    name = shown.controls["change"]
    if not name:
        st.info("Nothing here can be compared with a baseline.")
        return
    _change(shown, name, "chart_change", forest=False)


def _change(shown: Shown, name: str, key: str, *, forest: bool) -> None:
    frame = changes.change_frame(shown.at, name)
    beside = tradeoff.quality_texts(shown.flat, shown.found.decides.quality) if metric(name).kind == "speed" else {}
    st.subheader(words.escape(changes.headline(frame, name)))
    said = changes.describe(frame, name) + _points_text(shown, name)
    show.chart(changes.changes(frame, name, dark=show.dark(), forest=forest, beside=beside), said, key, lambda: changes.table(frame, name))


def distributions(shown: Shown) -> None:
    shown.controls.select("sample", "Metric", _label)
    name = shown.controls["sample"]
    if not name:
        st.info("No samples yet.")
        return
    at = {row.position: row.point_label for row in shown.rows if row.metric == name}
    frame = samples.sample_frame(reading.samples_of(shown.found), name, at)
    st.subheader(words.escape(sample_title(frame, name)))
    said = samples.describe(frame) + _points_text(shown, name)
    show.chart(samples.sample_strips(frame, name, dark=show.dark()), said, "chart_samples", lambda: samples.table(frame, name))


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
    said = f"{scaling.describe(frame, key, name)} Bands and bars: {_INTERVALS[0].lower()}{_INTERVALS[1:]}"
    show.chart(figure, said, "chart_sweep", lambda: scaling.table(frame, key, name))


def memory_parts(shown: Shown) -> None:
    frame = memory.memory_frame(shown.flat, None)
    if frame.empty:
        st.info("No memory was measured yet.")
        return
    st.subheader(words.escape(memory_title(frame, shown.conditions)))
    said = f"{memory.describe(frame)} {_INTERVALS}"
    show.chart(memory.memory_bars(frame, dark=show.dark(), capacity=shown.capacity), said, "chart_memory", lambda: memory.table(frame))
    split = training_memory.split_frame(shown.flat, None, training_memory.predictions(shown.found.record))
    if len(split):
        st.subheader("What holds it at the peak of a step")
        figure = training_memory.split_bars(split, dark=show.dark())
        show.chart(figure, training_memory.describe(split), "chart_split", lambda: training_memory.split_table(split))


def quality(shown: Shown) -> None:
    shown.controls.select("quality", "Metric", _label)
    name = shown.controls["quality"]
    if name:
        _change(shown, name, "chart_quality", forest=True)
    if not shown.at["kind"].isin(("quality", "fidelity")).any():
        st.info("Quality: not measured in any of these experiments.")
        return
    own = shown.flat.assign(baseline=[shown.columns[p].own_baseline for p in shown.flat["position"]])
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
