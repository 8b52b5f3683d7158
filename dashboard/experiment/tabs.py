"""What stands under each tab of an experiment's page. Draws; only the tab that is open is drawn, so a page run stays cheap."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from dashboard import exports, pictures, results, show, store, tables, why, words
from dashboard.experiment import actions, chart_choice, details, predicted, profiles, training
from dashboard.experiment.shown import Shown
from engine.metrics import METRICS


def summary(shown: Shown) -> None:
    if not _measured(shown):
        profiles.section(shown.record, shown.controls)
        return
    st.header("Verdicts", divider="gray")
    results.verdict_table(shown.record, shown.summary, shown.point, "headline")
    st.caption(words.VERDICT_HELP)
    details.red_flags(shown.record)
    st.header("Trade-off", divider="gray")
    chart_choice.choose(shown.controls, shown.decides)
    results.trade_off(shown.record, shown.summary, shown.view, "tradeoff")
    why.section(shown.record)
    results.scaling_charts(shown.record, shown.summary, shown.controls)
    profiles.section(shown.record, shown.controls)
    st.header("Every metric", divider="gray")
    shown.controls.segments("kind", "Kind", str.capitalize)
    kind = tables.KINDS[shown.controls["kind"].capitalize()]
    show.table(tables.verdicts(shown.summary, kind, shown.decides.quality), "Every metric of every variant with interval and verdict.", "all_metrics")


def samples(shown: Shown) -> None:
    controls, metric = shown.controls, shown.controls["sample"]
    with show.loading():
        record = store.record(shown.id, "all") if metric else None
    if record is None:
        st.info("No run has a result yet.")
        return
    left, right = st.columns(2)
    with left:
        controls.select("sample", "Metric", lambda name: METRICS[name].label)
    with right:
        controls.select("at", "At")
    st.subheader("All variants")
    show.picture(pictures.sample_strips(record, metric, controls["at"], dark=show.dark()), "samples")
    st.subheader("In the order of measuring")
    controls.select("of", "Variant", shown.name)
    picture = pictures.iterations(record, metric, controls["at"], shown.name(controls["of"]), dark=show.dark())
    show.picture(picture, "iterations")


def memory(shown: Shown) -> None:
    if not _measured(shown):
        return
    shown.controls.select("point", "At")
    results.memory_chart(shown.record, shown.summary, shown.point, "memory")
    training.memory_split(shown.record, shown.summary, shown.point)
    predicted.section(shown.record, shown.summary)


def quality(shown: Shown) -> None:
    if not _measured(shown):
        return
    results.quality(shown.record, shown.summary)
    training.loss_curves(shown.record, shown.summary, shown.controls)
    why.answers(shown.record, shown.controls)


def configuration(shown: Shown) -> None:
    st.header("Variants, and what each technique showed of its effect", divider="gray")
    details.evidence(shown.record)
    st.header("Workload", divider="gray")
    details.workload(shown.record)
    st.header("As a file", divider="gray")
    actions.reproduction(shown.record)


def environment(shown: Shown) -> None:
    details.environment(shown.record)


def log(shown: Shown) -> None:
    details.runs(shown.record, shown.controls)


def files(shown: Shown) -> None:
    st.caption("Failed and out-of-memory rows are in every file, with their reason; so is where each number comes from.")
    with st.container(horizontal=True):
        exports.of_one(shown.id, shown.point, "files")


def _measured(shown: Shown) -> bool:
    if not shown.measured:
        st.info("No run has a result yet. Tables and charts appear here by themselves.")
    return shown.measured


DRAWN: dict[str, Callable[[Shown], None]] = {
    "summary": summary, "samples": samples, "memory": memory, "quality": quality, "configuration": configuration, "environment": environment,
    "log": log, "files": files,
}  # fmt: skip
