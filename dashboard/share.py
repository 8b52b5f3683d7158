"""The Share dialog of a page: a link to this very view, a view under a name, a frozen snapshot, a report, and a table for a pull request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from dashboard import exports, frozen, pages, permissions, store, visitor
from dashboard.report.formats import reports
from dashboard.report.options import Options
from db import saved
from engine.record import Record
from engine.snapshot import freeze
from engine.specs import new_id

LONGEST_LINK = 1_500
"""Mail and chat programs cut off what is much longer."""
_MADE = "share_made"


@dataclass(frozen=True)
class Shared:
    """What a page offers to share. params: all that its address must say. experiments, variants: ids and number of what it shows.

    markdown: makes the table that its readers see first. point: which of several points files with one row per variant hold.
    frames: makes tables to freeze that do not follow from the experiments. Without experiments, as of a list, there is nothing to freeze
    and no report.
    """

    page: str
    title: str
    params: Mapping[str, str]
    experiments: tuple[str, ...]
    variants: int
    markdown: Callable[[], str]
    point: str | None = None
    frames: Callable[[], Mapping[str, Sequence[Mapping[str, Any]]]] = field(default=dict)


def dialog(shared: Shared) -> None:
    """A button that opens it. On a frozen page it shares that page's own link."""
    popover = st.popover("Share", icon=":material/share:", key="share", on_change="rerun")
    if popover.open:
        with popover:
            _links(shared)
            _files(shared)
            st.caption("A link gives no access by itself.")


def _links(shared: Shared) -> None:
    if (held := frozen.snapshot()) is not None:
        st.markdown("**Frozen snapshot**")
        st.code(pages.url("view", {"id": held.id}), language=None, wrap_lines=True)
        st.caption("Will not change.")
        return
    link = pages.url(shared.page, shared.params)
    st.markdown("**Live link**")
    st.code(link, language=None, wrap_lines=True)
    st.caption("Opens this exact view; results may change.")
    if len(link) > LONGEST_LINK:
        st.warning(f"This link has {len(link):,} characters, and some programs cut it off. Save the view: its link is short.")
    name = str(st.text_input("Name", shared.title[:200], max_chars=200, key="share_name", help="Of the saved view, or of the snapshot"))
    with st.container(horizontal=True):
        st.button("Save the view", icon=":material/bookmark_add:", on_click=_save, args=(shared, name), key="share_save",
                  **permissions.control("A short link to this view under a name. Results may change."))  # fmt: skip
        if shared.experiments:
            st.button("Freeze a snapshot", icon=":material/ac_unit:", on_click=_freeze, args=(shared, name), key="share_freeze",
                      **permissions.control("Keeps all values as they are now, also if the experiment is renamed or deleted."))  # fmt: skip
    made = st.session_state.get(_MADE)
    if made and made["of"] == link:
        st.markdown(f"**{made['kind']}**")
        st.code(made["link"], language=None, wrap_lines=True)
        st.caption(made["says"])


def _files(shared: Shared) -> None:
    if shared.experiments:
        _report(shared)
    st.markdown("**Markdown table**, for a pull request")
    st.code(shared.markdown(), language="markdown", height=160)


def _report(shared: Shared) -> None:
    st.markdown("**Report file**")
    with st.container(horizontal=True):
        if len(shared.experiments) == 1:
            (experiment_id,) = shared.experiments
            report = reports(Options(x=shared.params.get("x"), y=shared.params.get("y")))["html"]
            exports.button(report, [experiment_id], f"experiment_{experiment_id}", "share_report", shared.point)
        pages.link("reports", "Build a report", {"from": ",".join(shared.experiments)})


@permissions.action
def _save(shared: Shared, name: str) -> str:
    view_id = new_id()
    db, owner = permissions.database(), visitor.name()
    saved.save_view(db, view_id, name=name, page=shared.page, params=dict(shared.params), variants=shared.variants, owner=owner)
    _made(shared, "Saved view", view_id, "Opens this exact view; results may change. Its name can be changed in Reports.")
    return f"The view is saved as {' '.join(name.split())}."


@permissions.action
def _freeze(shared: Shared, name: str) -> str:
    found = [_whole(experiment_id) for experiment_id in shared.experiments]
    results = [(record, store.rows(record)) for record in found if record is not None]
    row = freeze(name, shared.page, shared.params, visitor.name(), results, shared.frames())
    saved.keep_snapshot(permissions.database(), row)
    _made(shared, "Frozen snapshot", row["id"], "Will not change, also if the experiment is renamed or deleted.")
    return f"{row['name']} is frozen."


def _whole(experiment_id: str) -> Record | None:
    return store.record(experiment_id, "all")


def _made(shared: Shared, kind: str, view_id: str, says: str) -> None:
    link = pages.url("view", {"id": view_id})
    st.session_state[_MADE] = {"of": pages.url(shared.page, shared.params), "kind": kind, "link": link, "says": says}
