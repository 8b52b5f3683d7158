"""One experiment by its permalink: verdicts, trade-off, memory, samples, and everything behind the numbers."""

from __future__ import annotations

import streamlit as st

from dashboard import details, experiment_body, links, live, pages, share, show, store, tray
from engine.measurement import Status
from engine.record import Record


def main() -> None:
    wanted = links.experiment_id(st.query_params)
    record = store.record(wanted) if wanted else None
    if record is None:
        _missing()
        return
    experiment_body.header(record)
    bar = st.container(horizontal=True)
    if not all(Status(r["status"]).ended for r in record["runs"]):
        show.scheduler_state()
        live.follow(record["experiment"]["id"])
    shared = experiment_body.draw(record)
    with bar:  # last: only now is it known what the page shows
        _actions(record, shared)
    st.header("Run it again", divider="gray")
    details.reproduce(record)
    details.actions(record)


def _actions(record: Record, shared: share.Shared) -> None:
    tray.offer(record["experiment"]["id"], [v["name"] for v in record["variants"]])
    share.dialog(shared)
    share.downloads(shared)


def _missing() -> None:
    st.title("There is no such experiment")
    st.info("It may have been deleted, or the link was cut off. An id has 22 letters, digits, - and _.")
    pages.link("experiments", "All experiments")


if __name__ == "__main__":
    main()
