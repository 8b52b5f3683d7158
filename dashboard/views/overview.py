"""The first page: the answer for a model, its trade-off chart, and what runs now."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard import first_run, headlines, links, live, pages, results, show, store, words
from db import queries
from engine.answers.headlines import headlines as answers
from engine.decisive import decisive


def main() -> None:
    st.title("LLM Trade-off Lab")
    st.markdown("Which optimization for this model on this machine, and what does it cost in quality? Measured, not quoted.")
    show.scheduler_state()
    recent = queries.experiments(store.database(), limit=20)
    listed = store.with_results()
    if (listed["source"] == "reference").all():
        first_run.cards(recent)
    left, right = st.columns([2, 1], gap="large")
    with left:
        lead = _answers(listed)
    with right:
        st.subheader("Now")
        live.running_now(store.token(lead) if lead else None, lead)
        pages.link("new_experiment", "Start an experiment")
        _list("Yours", recent[recent["source"] != "reference"].head(8))
        _list("Measured by the project", queries.experiments(store.database(), limit=8, source="reference"))
        pages.link("start", "What this machine can do")


def _answers(listed: pd.DataFrame) -> str | None:
    """Draws the answers with the chart and table behind them; the id of the experiment they come from."""
    lead_id = headlines.ask(st.query_params, listed)
    if lead_id is None:
        st.subheader("Best so far")
        st.info("Nothing has been measured yet. The first results appear here as soon as a run has ended.")
        return None
    together = store.comparable(lead_id)
    lead, record = together[0], store.record(lead_id)
    assert record is not None, "it was listed, and read by `comparable`"
    label = headlines.point(lead)
    words_of = [lead.device, "measured by the project" if record["experiment"]["source"] == "reference" else None, results.status(record)]
    st.caption(words.escape(" · ".join(filter(None, words_of))))
    headlines.tiles(answers(together, headlines.budget(), label))
    usual = headlines.usual(listed)
    headlines.into_address(lead, str(usual["id"]) if usual else "")
    summary = store.summary(lead_id)
    x, y = results.default_axes(summary, decisive(record))
    results.trade_off(record, summary, links.ChartView(x, y, label), "overview_tradeoff")
    results.verdict_table(record, summary, label, "overview_table")
    pages.link("advisor", "Ask with your own limits on memory, quality and speed")
    pages.link("experiment", "Samples, intervals, downloads and the link to share", {"id": lead_id})
    return lead_id


def _list(title: str, rows: pd.DataFrame) -> None:
    if rows.empty:
        return
    st.subheader(title)
    for row in rows.to_dict("records"):
        pages.link("experiment", row["title"], {"id": row["id"]})


if __name__ == "__main__":
    main()
