"""One experiment by its permalink: verdicts, trade-off, memory, samples, and everything behind the numbers."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard import details, links, live, pages, results, show, store, tables, words
from dashboard.decisive import decisive
from engine.catalogue import BUNDLED, SHAPES
from engine.measurement import Status
from engine.metrics import METRICS
from engine.record import Record


def main() -> None:
    wanted = links.experiment_id(st.query_params)
    record = store.record(wanted) if wanted else None
    if record is None:
        _missing()
        return
    experiment_id = record["experiment"]["id"]
    _header(record)
    if not all(Status(r["status"]).ended for r in record["runs"]):
        show.scheduler_state()
        live.follow(experiment_id)
    summary = store.summary(experiment_id)
    if summary["value"].notna().any():
        link = _results(record, summary)
    else:
        st.info("No run has a result yet. Tables and charts appear here by themselves.")
        link = links.permalink(experiment_id)
    st.header("Behind the numbers", divider="gray")
    for title, draw in {
        "Runs and logs": details.runs, "Evidence that each technique took effect": details.evidence,
        "Environment": details.environment,
    }.items():  # fmt: skip
        with st.expander(title):
            draw(record)
    st.header("Share and reproduce", divider="gray")
    details.share(record, link)
    details.actions(record)


def _missing() -> None:
    st.title("There is no such experiment")
    st.info("It may have been deleted, or the link was cut off. An id has 22 letters, digits, - and _.")
    pages.link("experiments", "All experiments")


def _header(record: Record) -> None:
    experiment, spec = record["experiment"], record["experiment"]["spec"]
    st.title(words.escape(experiment["title"]))
    model = spec["model"]["name"]
    facts = [
        f"{spec['model']['source']} model {model}", experiment["bound_device"] or experiment["device"],
        f"{spec['rounds']} round{'s' * (spec['rounds'] != 1)}", words.moment_text(experiment["created_at"]), results.status(record),
    ]  # fmt: skip
    st.markdown(words.escape(" · ".join(facts)))
    if spec["model"]["source"] == "bundled" and model in BUNDLED:
        st.caption(words.escape(BUNDLED[model].note))
    if spec["model"]["source"] == "shape" and model in SHAPES:
        st.caption("A shape has random weights: speed and memory are real, quality is not measured.")


def _results(record: Record, summary: pd.DataFrame) -> str:
    """Draws the results; returns the link to this very view."""
    experiment_id, decides = record["experiment"]["id"], decisive(record)
    known, labels = results.axes(summary, decides), results.points(summary, decides)
    usual = results.default_axes(summary, decides)
    view = links.chart_view(st.query_params, known, labels, usual)
    if view.refused:
        st.warning(words.escape(f"The link asked for what this experiment does not have: {', '.join(view.refused)}"))
    st.header("Verdicts", divider="gray")
    results.verdict_table(record, summary, view.point, "headline")
    st.caption(words.VERDICT_HELP)
    st.header("Trade-off", divider="gray")
    view = _choose(view, known, labels)
    params = links.chart_params(view, usual, labels[0] if labels else None)
    pages.into_address(("x", "y", "point"), params)
    results.trade_off(record, summary, view, "tradeoff")
    results.scaling_charts(summary, decides)
    st.header("Memory", divider="gray")
    results.memory_chart(summary, view.point, "memory")
    st.header("Quality and fidelity", divider="gray")
    results.quality(record, summary)
    st.header("Every metric", divider="gray")
    kind = tables.KINDS[st.segmented_control("Kind", list(tables.KINDS), default="All", required=True, key="kind") or "All"]
    show.table(tables.verdicts(summary, kind, decides.quality), "Every metric of every variant with interval and verdict.", "all_metrics")
    with st.expander("Raw samples"):
        _samples(experiment_id, summary, decides.speed)
    return links.permalink(experiment_id, params)


def _choose(view: links.ChartView, known: list[str], labels: list[str]) -> links.ChartView:
    columns = st.columns(3 if len(labels) > 1 else 2)
    name = {m: METRICS[m].label for m in known}
    with columns[0]:
        x = st.selectbox("Across", known, index=known.index(view.x), format_func=name.__getitem__, key="axis_x")
    with columns[1]:
        y = st.selectbox("Up", known, index=known.index(view.y), format_func=name.__getitem__, key="axis_y")
    point = view.point
    if len(labels) > 1:
        with columns[2]:
            point = st.selectbox("Point", labels, index=labels.index(view.point) if view.point else 0, key="axis_point")
    return links.ChartView(str(x), str(y), point)


def _samples(experiment_id: str, summary: pd.DataFrame, first: str) -> None:
    measured = summary[summary["value"].notna() & (summary["kind"] != "fidelity")]
    pairs = list(dict.fromkeys(zip(measured["metric"], measured["point_label"], strict=True)))
    start = next((i for i, (m, _) in enumerate(pairs) if m == first), 0)
    text = {p: METRICS[p[0]].label + (f" ({p[1]})" if p[1] else "") for p in pairs}
    metric, point = st.selectbox("Metric", pairs, index=start, format_func=text.__getitem__, key="sample_metric")
    results.sample_chart(experiment_id, metric, point, "samples")


if __name__ == "__main__":
    main()
