"""The page of one technique or workload in the catalogue, part by part. Draws; what it says comes from dashboard/catalogue.py."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import catalogue, pages, show, words
from engine.explanations import explanation
from engine.registry import discover

_WRAPPED = 52  # pixels of a row in which text wraps


def technique(row: dict[str, Any]) -> None:
    st.title(words.escape(row["label"]))
    facts = [row["name"], f"family {row['family']}", f"slot {row['slot'].replace('_', ' ')}", catalogue.phase_of(row["name"])]
    st.caption(words.escape(" · ".join(facts)))
    st.markdown(words.escape(row["summary"]))
    _availability(row)
    _how(explanation(discover().techniques[row["name"]]))
    st.header("What it costs", divider="gray")
    st.markdown(words.escape(row["costs"]))
    _options(row)
    st.header("What it cannot be combined with", divider="gray")
    groups, others = catalogue.not_with(row["name"])
    st.markdown("\n".join(f"- {words.escape(text)}" for text in groups) or "A stack has at most one technique for each slot.")
    if len(others):
        show.table(others, "Techniques that cannot be in one stack with this one, and why.", "catalogue_not_with", row_height=_WRAPPED)
    st.caption("With the options that are usual; others may forbid more. The form says so before anything is queued.")
    _presets(catalogue.presets_with(row["name"]))
    if about := catalogue.claims_about(row["name"]):
        st.header("What is claimed of it", divider="gray")
        for claim in about:
            pages.link("claims", claim.statement, {"claim": claim.id})
    _foot(row["reference"])


def workload(row: dict[str, Any]) -> None:
    st.title(words.escape(row["label"]))
    st.caption(words.escape(f"{row['name']} · workload"))
    st.markdown(words.escape(row["summary"]))
    _how(explanation(discover().workloads[row["name"]]))
    _options(row)
    st.header("What it measures", divider="gray")
    show.table(catalogue.workload_metrics(row["name"]), "The metrics of this workload and what they are.", "catalogue_measures", row_height=_WRAPPED)
    _presets(catalogue.presets_with(row["name"], workload=True))
    _foot(None)


def _availability(row: dict[str, Any]) -> None:
    if row["available"]:
        st.success("It can run on this machine.", icon=":material/check_circle:")
        return
    st.warning(words.escape(f"Not on this machine: {row['reason']}."), icon=":material/block:")
    if command := catalogue.install_command(row["reason"]):
        st.code(command if command.startswith(("pip", "apt")) else f".venv/bin/{command}", language="bash")


def _how(text: str | None) -> None:
    """Nothing where its author wrote none."""
    if text:
        st.header("How it works", divider="gray")
        st.markdown(text)


def _options(row: dict[str, Any]) -> None:
    st.header("Options", divider="gray")
    frame = catalogue.options(row["options"])
    if frame.empty:
        st.markdown("It has none.")
    else:
        show.table(frame, "Its options with what they take, their defaults and what they are.", "catalogue_options", row_height=_WRAPPED)


def _presets(presets: list[tuple[str, str]]) -> None:
    st.header("Try it", divider="gray")
    for name, title in presets:
        pages.link("new_experiment", f"{title} ({name})", {"preset": name})
    if not presets:
        pages.link("new_experiment", "No preset uses it; choose it in a new experiment")


def _foot(reference: str | None) -> None:
    st.divider()
    if reference:
        st.markdown(f"[Where it comes from]({reference})")
    pages.link("catalogue", "The whole catalogue")
