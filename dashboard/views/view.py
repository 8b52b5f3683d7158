"""A saved view or a frozen snapshot by its link: the first goes on to its page, the second is shown as it was frozen."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from dashboard import address, frozen, links, pages, share, store, words
from dashboard.browse import kept
from dashboard.comparing import body as comparison
from dashboard.experiment import body as experiment
from engine.snapshot import Snapshot, TamperedError


def main() -> None:
    wanted = links.experiment_id(st.query_params)
    view = store.saved_view(wanted) if wanted else None
    if view is not None and pages.exists(view["page"]):
        pages.go(view["page"], view["params"])
    try:
        snapshot = store.snapshot(wanted) if wanted else None
    except TamperedError as error:
        st.title("This snapshot was changed after it was frozen")
        st.error(words.escape(f"It is not shown: {error}. Ask its owner for another one."), icon=":material/gpp_bad:")
        pages.link("reports", "All saved views and snapshots")
        return
    if snapshot is None or snapshot.page not in _DRAWN:
        st.title("There is no such view")
        st.info("It may have been deleted, or the link was cut off. An id has 22 letters, digits, - and _.")
        pages.link("reports", "All saved views and snapshots")
        return
    _into_address(snapshot)
    by = f" by {snapshot.owner}" if snapshot.owner else ""
    text = f"{snapshot.name}: frozen on {words.moment_text(snapshot.created_at)}{by}. Shows the values of then. SHA-256 {snapshot.sha256}, verified."
    st.info(words.escape(text), icon=":material/ac_unit:")
    with frozen.showing(snapshot):
        _DRAWN[snapshot.page](snapshot)


def _into_address(snapshot: Snapshot) -> None:
    """The first drawing in a session begins with what was frozen; from then on the address says what the visitor chose."""
    if st.session_state.get("view_opened") != snapshot.id:
        st.session_state["view_opened"] = snapshot.id
        st.query_params.update({name: value for name, value in snapshot.params.items() if name != "id" and name not in st.query_params})
        address.arrive()


def _experiment(snapshot: Snapshot) -> None:
    (experiment_id,) = snapshot.records
    record = store.record(experiment_id)
    assert record is not None
    experiment.header(record)
    bar = st.container(horizontal=True)
    shared = experiment.draw(record)
    with bar:
        share.dialog(shared)
    pages.link("experiment", "The experiment as it is now", {"id": experiment_id})


def _experiments(snapshot: Snapshot) -> None:
    st.title("Experiments")
    kept.draw(snapshot.frames)
    pages.link("experiments", "The list as it is now", dict(snapshot.params))


_DRAWN: dict[str, Callable[[Snapshot], None]] = {"experiment": _experiment, "compare": comparison.frozen, "experiments": _experiments}

if __name__ == "__main__":
    main()
