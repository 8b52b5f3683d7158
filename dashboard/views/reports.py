"""Saved views and frozen snapshots of everybody, and reports to download."""

from __future__ import annotations

import streamlit as st

from dashboard import exports, library, links, pages, store, words
from dashboard.report.content import SECTIONS
from dashboard.report.formats import FORMATS, reports
from dashboard.report.options import Options
from db.filter import Filter

RECENT = 50  # so many of the newest experiments are offered; others come by the link of their page


def main() -> None:
    st.title("Reports")
    st.header("Saved views and snapshots", divider="gray")
    library.draw()
    st.header("Build a report", divider="gray")
    _builder()


def _builder() -> None:
    asked = links.experiment_ids(st.query_params)
    recent = store.experiments(Filter(size=RECENT))
    titles = dict(zip(recent["id"], (f"{r.title} · {r.model} · {r.device}" for r in recent.itertuples()), strict=True))
    for experiment_id in asked:
        if experiment_id not in titles and (record := store.record(experiment_id)) is not None:
            titles[experiment_id] = " · ".join([record["experiment"]["title"], *words.facts(record)[:2]])
    if missing := [i for i in asked if i not in titles]:
        st.warning(words.escape(f"{len(missing)} of {len(asked)} experiments in this link no longer exist: {', '.join(missing)}"))
    if not titles:
        st.info("There is no experiment to report on yet.")
        pages.link("new_experiment", "Start an experiment")
        return
    first = [i for i in asked if i in titles]
    chosen = st.multiselect("Experiments", list(titles), default=first, format_func=lambda i: titles[i], key="report_of", max_selections=12)
    if chosen != first:  # else the address stays as it came, with what it names in vain
        pages.into_address(("from",), {"from": ",".join(chosen)} if chosen else {})
    if not chosen:
        st.caption("Choose one or several experiments.")
        return
    _files(chosen, _options())


def _options() -> Options:
    title = str(st.text_input("Title", placeholder="the title of the experiment", max_chars=200, key="report_title"))
    note = str(st.text_area("Note", placeholder="what was asked, what was decided", max_chars=5_000, key="report_note", help="Plain text; line breaks stay."))
    ticked = st.pills("Sections", list(SECTIONS), selection_mode="multi", default=list(SECTIONS), format_func=lambda s: SECTIONS[s][0], key="report_sections")
    return Options(title=" ".join(title.split()), note=note, sections=tuple(s for s in SECTIONS if s in (ticked or ())))


def _files(chosen: list[str], options: Options) -> None:
    if not options.sections:
        st.caption("Tick at least one section.")
        return
    stem = f"experiment_{chosen[0]}" if len(chosen) == 1 else f"report_of_{len(chosen)}"
    tables = {name: FORMATS[name] for name in ("csv", "variants", "samples", "parquet", "json")}
    single = {"bundle": FORMATS["bundle"]} if len(chosen) == 1 else {}
    with st.container(horizontal=True):
        exports.buttons(reports(options) | tables | single, chosen, stem, "report")
    st.caption("Charts are in the HTML, which opens without a network; the tables behind them are in every file.")


if __name__ == "__main__":
    main()
