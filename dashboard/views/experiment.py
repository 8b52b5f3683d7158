"""One experiment by its permalink: verdicts, trade-off, memory, samples, and everything behind the numbers."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard import (
    chart_choice,
    details,
    importing,
    links,
    live,
    pages,
    predicted,
    profiles,
    results,
    show,
    store,
    tables,
    training,
    tray,
    why,
    words,
)
from engine.catalogue import BUNDLED, SHAPES
from engine.decisive import decisive
from engine.measurement import Status
from engine.record import Record, imported_from


def main() -> None:
    wanted = links.experiment_id(st.query_params)
    record = store.record(wanted) if wanted else None
    if record is None:
        _missing()
        return
    experiment_id = record["experiment"]["id"]
    _header(record)
    if imported_from(record) is not None:
        importing.page(record)
        return
    if not all(Status(r["status"]).ended for r in record["runs"]):
        show.scheduler_state()
        live.follow(experiment_id)
    summary = store.summary(experiment_id)
    if summary["value"].notna().any():
        link = _results(record, summary)
    else:
        st.info("No run has a result yet. Tables and charts appear here by themselves.")
        link = links.permalink(experiment_id)
    profiles.section(record)
    st.header("Behind the numbers", divider="gray")
    behind = {"Runs and logs": details.runs, "Evidence that each technique took effect": details.evidence, "Environment": details.environment}
    for title, draw in behind.items():
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
    tray.offer(experiment["id"], [v["name"] for v in record["variants"]])
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
    return links.permalink(experiment_id, params)


if __name__ == "__main__":
    main()
