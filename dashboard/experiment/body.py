"""What the page of an experiment shows of its record, whether `store` reads it from the database or from a frozen snapshot."""

from __future__ import annotations

import streamlit as st

from dashboard import controls, importing, links, results, share, show, store, words
from dashboard.experiment.shown import NAMES, OWNER, TABS, shown
from dashboard.experiment.tabs import DRAWN
from dashboard.report import markdown
from engine.catalogue import BUNDLED, SHAPES
from engine.record import Record, imported_from


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
    with show.loading():
        summary = store.summary(experiment_id)
    now = shown(record, summary, controls.follow_address(OWNER, NAMES, whole=("id",)))
    if imported_from(record) is not None:
        importing.page(record)
    else:
        if now.controls.refused:
            st.warning(words.escape(f"The link asked for what this experiment does not have: {', '.join(now.controls.refused)}"))
        drawn = now.controls.tabs("tab", TABS)
        with drawn[now.controls["tab"]]:
            DRAWN[now.controls["tab"]](now)
        controls.say(now.controls)
    return share.Shared(
        "experiment", record["experiment"]["title"], {"id": experiment_id, **now.controls.params()}, (experiment_id,), len(record["variants"]),
        lambda: markdown.verdicts(record, now.summary, now.point, links.permalink(experiment_id)), now.point,
    )  # fmt: skip
