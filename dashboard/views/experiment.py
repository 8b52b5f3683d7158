"""One experiment by its permalink: what it is, what one can do with it, and its results and all behind them under tabs."""

from __future__ import annotations

import streamlit as st

from dashboard import links, live, pages, share, show, store, tray, words
from dashboard.experiment import actions, body
from engine.measurement import Status
from engine.record import Record


def main() -> None:
    wanted = links.experiment_id(st.query_params)
    with show.loading():
        record = store.record(wanted) if wanted else None
        said = store.said(wanted) if wanted else None
    if record is None or said is None:
        _missing(wanted)
        return
    body.header(record)
    _said(record, said)
    bar = st.container(horizontal=True, vertical_alignment="center")
    if not all(Status(r["status"]).ended for r in record["runs"]):
        live.scheduler_state()
        live.follow(record["experiment"]["id"], said["owner"])
    shared = body.draw(record)
    with bar:  # last: only now is it known what the page shows
        tray.offer(record["experiment"]["id"], [v["name"] for v in record["variants"]])
        share.dialog(shared)
        actions.buttons(record, said)


def _said(record: Record, said: actions.Said) -> None:
    """Its id to copy, whose it is, tags, note."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.code(record["experiment"]["id"], language=None, width="content")
        if said["owner"]:
            st.caption(words.escape(f"by {said['owner']}"), width="content")
        for tag in said["tags"]:
            st.badge(words.escape(tag), icon=":material/sell:")
    if said["private"]:
        st.info("This experiment is private: only its owner and admins see it.", icon=":material/visibility_off:")
    if said["archived"]:
        st.info("This experiment is in the archive: lists leave it out.", icon=":material/archive:")
    if said["note"]:
        with st.container(border=True):
            st.markdown(words.without_images(said["note"]))


def _missing(wanted: str | None) -> None:
    st.title("There is no such experiment")
    named = f"{words.escape(wanted)}: it" if wanted else "It"
    st.info(f"{named} may have been deleted, or the link was cut off. An id has 22 letters, digits, - and _.")
    text = st.text_input("Search the experiments", type="search", key="missing_search", placeholder="title, model, id or note")
    if text:
        pages.link("experiments", f"Search for “{text}”", {"q": text}, icon=":material/search:")
    pages.link("experiments", "All experiments")


if __name__ == "__main__":
    main()
