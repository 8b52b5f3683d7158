"""The first page: the answer for a model, its trade-off chart, and what runs now."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard import first_run, headlines, links, live, pages, pictures, results, show, store, words
from db.filter import Filter
from engine.answers.headlines import headlines as answers
from engine.decisive import decisive


def main() -> None:
    st.title("LLM Trade-off Lab")
    st.markdown("Which optimization for this model on this machine, and what does it cost in quality? Measured, not quoted.")
    live.scheduler_state()
    recent = store.experiments(Filter(size=20))
    listed = store.with_results()
    if (listed["source"] == "reference").all():
        first_run.cards(listed)
    lead = _answers(listed)
    left, right = st.columns([2, 1], gap="large")
    with left:
        if lead is not None:
            _behind(*lead)
    with right:
        st.subheader("Now")
        live.running_now(store.token(lead[0]) if lead else None, lead[0] if lead else None)
        pages.link("new_experiment", "Start an experiment")
        _list("Yours", recent[recent["source"] != "reference"].head(8))
        _list("Measured by the project", store.experiments(Filter(size=8, source=("reference",))))
        pages.link("start", "What this machine can do")


def _answers(listed: pd.DataFrame) -> tuple[str, str | None] | None:
    """Draws the three answers; (id of the experiment they come from, the point they are of)."""
    lead_id = headlines.ask(st.query_params, listed)
    if lead_id is None:
        st.info("Nothing has been measured yet. The first results appear here as soon as a run has ended.")
        return None
    with show.loading():
        together, record = store.comparable(lead_id), store.record(lead_id)
    assert record is not None, "it was listed, and read by `comparable`"
    point = headlines.point(together[0])
    source = "measured by the project" if record["experiment"]["source"] == "reference" else ""
    st.caption(words.escape(" · ".join(filter(None, (together[0].device, source, results.status(record))))))
    going_on = any(run["status"] in ("queued", "running") for run in record["runs"])
    headlines.tiles(answers(together, headlines.budget(), point), going_on=going_on)
    headlines.side_by_side(together[0])
    usual = headlines.usual(listed)
    headlines.into_address(together[0], str(usual["id"]) if usual else "")
    return lead_id, point


def _behind(lead_id: str, point: str | None) -> None:
    """The chart and the table that the answers come from."""
    with show.loading():
        record, summary = store.record(lead_id), store.summary(lead_id)
    assert record is not None
    x, y = pictures.default_axes(summary, decisive(record))
    results.trade_off(record, summary, links.ChartView(x, y, point), "overview_tradeoff")
    results.verdict_table(record, summary, point, "overview_table")
    pages.link("advisor", "Ask with your own limits on memory, quality and speed")
    pages.link("experiment", "Samples, intervals, downloads and the link to share", {"id": lead_id})


def _list(title: str, rows: pd.DataFrame) -> None:
    if rows.empty:
        return
    st.subheader(title)
    for row in rows.to_dict("records"):
        pages.link("experiment", row["title"], {"id": row["id"]})


if __name__ == "__main__":
    main()
