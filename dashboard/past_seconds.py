"""How long runs like those that wait took before: what the form and the queue estimate by."""

from __future__ import annotations

import statistics

import streamlit as st

from dashboard import store
from db import listing, queries
from db.filter import Filter


@st.cache_data(max_entries=24, show_spinner=False)
def _past_seconds(url: str, experiment_id: str, token: str) -> dict[str, float]:
    found = store.load(url, experiment_id, "none", token)
    seconds: dict[str, list[float]] = {}
    for run in found["runs"] if found else ():
        if run["status"] == "succeeded" and run["seconds"]:
            seconds.setdefault(run["kind"], []).append(run["seconds"])
    return {kind: statistics.median(values) for kind, values in seconds.items()}


def by_kind(model: str, device: str) -> dict[str, float]:
    """{run kind: median seconds} of the newest experiment measured with this model on such a device; empty if there is none."""
    return _past_seconds_of(store.scope(), model, device)


@st.cache_data(ttl=30, max_entries=64, show_spinner=False)  # the queue asks every two seconds
def _past_seconds_of(scope: store.Scope, model: str, device: str) -> dict[str, float]:
    db = scope.engine()
    same = listing.experiments(db, Filter(model=(model,), size=100))
    for row in same[same["succeeded"] > 0].to_dict("records"):
        if device in (row["device"], row["device"].rpartition("/")[2], row["device"].rpartition("/")[2].partition(":")[0]):
            return _past_seconds(scope.url, row["id"], queries.change_token(db, row["id"]))
    return {}
