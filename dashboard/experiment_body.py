"""What the page of an experiment shows of its record, whether `store` reads it from the database or from a frozen snapshot."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard import (
    chart_choice,
    details,
    links,
    pages,
    pictures,
    predicted,
    profiles,
    results,
    share,
    show,
    store,
    tables,
    training,
    why,
    words,
)
from dashboard.report import markdown
from engine.catalogue import BUNDLED, SHAPES
from engine.decisive import decisive
from engine.record import Record


def header(record: Record) -> None:
    experiment, spec = record["experiment"], record["experiment"]["spec"]
    st.title(words.escape(experiment["title"]))
    model = spec["model"]["name"]
    st.markdown(words.escape(" · ".join([*words.facts(record), results.status(record)])))
    if spec["model"]["source"] == "bundled" and model in BUNDLED:
        st.caption(words.escape(BUNDLED[model].note))
    if spec["model"]["source"] == "shape" and model in SHAPES:
        st.caption("A shape has random weights: speed and memory are real, quality is not measured.")


def draw(record: Record) -> share.Shared:
    """Everything below the header. Returns what can be shared of this very view."""
    experiment_id = record["experiment"]["id"]
    summary = store.summary(experiment_id)
    params: dict[str, str] = {}
    if summary["value"].notna().any():
        params = _results(record, summary)
    else:
        st.info("No run has a result yet. Tables and charts appear here by themselves.")
    profiles.section(record)
    st.header("Behind the numbers", divider="gray")
    behind = {"Runs and logs": details.runs, "Evidence that each technique took effect": details.evidence, "Environment": details.environment}
    for title, content in behind.items():
        with st.expander(title):
            content(record)
    return share.Shared(
        "experiment", record["experiment"]["title"], {"id": experiment_id, **params}, (experiment_id,), len(record["variants"]),
        lambda: markdown.verdicts(record, summary, params.get("point"), links.permalink(experiment_id)), params.get("point"),
    )  # fmt: skip


def _results(record: Record, summary: pd.DataFrame) -> dict[str, str]:
    """Returns what the address must say of it."""
    experiment_id, decides = record["experiment"]["id"], decisive(record)
    known, labels = pictures.axes(summary, decides), pictures.points(summary, decides)
    usual = pictures.default_axes(summary, decides)
    view = links.chart_view(st.query_params, known, labels, usual)
    if view.refused:
        st.warning(words.escape(f"The link asked for what this experiment does not have: {', '.join(view.refused)}"))
    st.header("Verdicts", divider="gray")
    results.verdict_table(record, summary, view.point, "headline")
    st.caption(words.VERDICT_HELP)
    details.red_flags(record)
    st.header("Trade-off", divider="gray")
    view = chart_choice.choose(view, known, labels, decides)
    params = links.chart_params(view, usual, labels[0] if labels else None)
    pages.into_address(("x", "y", "point"), params)
    results.trade_off(record, summary, view, "tradeoff")
    why.section(record)
    results.scaling_charts(record, summary, decides)
    st.header("Memory", divider="gray")
    results.memory_chart(record, summary, view.point, "memory")
    training.memory_split(record, summary, view.point)
    predicted.section(record, summary)
    training.loss_curves(record, summary)
    st.header("Quality and fidelity", divider="gray")
    results.quality(record, summary)
    why.answers(record)
    st.header("Every metric", divider="gray")
    there = [name for name, kind in tables.KINDS.items() if kind is None or kind in set(summary["kind"])]
    kind = tables.KINDS[st.segmented_control("Kind", there, default="All", required=True, key="kind") or "All"]
    show.table(tables.verdicts(summary, kind, decides.quality), "Every metric of every variant with interval and verdict.", "all_metrics")
    with st.expander("Raw samples"):
        results.raw_samples(experiment_id, summary, decides.speed)
    return params
