"""The first page: what is best so far, its trade-off chart, and what runs now."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from dashboard import links, live, pages, pictures, results, show, store, words
from db import queries
from engine.decisive import decisive


def main() -> None:
    st.title("LLM Trade-off Lab")
    st.markdown("Which optimization for this model on this machine, and what does it cost in quality? Measured, not quoted.")
    show.scheduler_state()
    recent = queries.experiments(store.database(), limit=20)
    featured = _featured(recent)
    left, right = st.columns([2, 1], gap="large")
    with left:
        _best(featured)
    with right:
        st.subheader("Now")
        newest = featured["id"] if featured else None
        live.running_now(store.token(newest) if newest else None, newest)
        pages.link("new_experiment", "Start an experiment")
        _list("Yours", recent[recent["source"] != "reference"].head(5))
        _list("Measured by the project", queries.experiments(store.database(), limit=5, source="reference"))


def _featured(recent: pd.DataFrame) -> dict[str, Any] | None:
    """The newest experiment of this installation that has results; else the one of the project's with the most measured runs."""
    own = recent[(recent["succeeded"] > 0) & (recent["source"] != "reference")]
    theirs = queries.experiments(store.database(), limit=100, source="reference").sort_values("succeeded", ascending=False, kind="stable")
    best: list[dict[str, Any]] = pd.concat([own.head(1), theirs.head(1)]).to_dict("records")
    return best[0] if best else None


def _best(featured: dict[str, Any] | None) -> None:
    record = store.record(featured["id"]) if featured else None
    if featured is None or record is None:
        st.subheader("Best so far")
        st.info("Nothing has been measured yet. The first results appear here as soon as a run has ended.")
        return
    summary = store.summary(featured["id"])
    st.subheader(f"Best so far: {words.escape(featured['title'])}")
    st.caption(words.escape(f"{featured['model']} on {featured['device']}. {results.status(record)}"))
    results.best_so_far(record, summary, decisive(record))
    x, y = pictures.default_axes(summary, decisive(record))
    results.trade_off(record, summary, links.ChartView(x, y, None), "overview_tradeoff")
    results.verdict_table(record, summary, None, "overview_table")
    pages.link("advisor", "Ask with your own limits on memory, quality and speed")
    pages.link("experiment", "Samples, intervals, downloads and the link to share", {"id": featured["id"]})


def _list(title: str, rows: pd.DataFrame) -> None:
    if rows.empty:
        return
    st.subheader(title)
    for row in rows.to_dict("records"):
        pages.link("experiment", row["title"], {"id": row["id"]})


if __name__ == "__main__":
    main()
