"""The Share dialog of a page: a link to this very view, a view under a name, a frozen snapshot, a report, and a table for a pull request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from dashboard import exports, frozen, identity, pages, permissions, store
from dashboard.report.formats import reports
from dashboard.report.options import Options
from db import saved
from engine.export.files import file_name
from engine.record import Record
from engine.snapshot import freeze
from engine.specs import new_id

LONGEST_LINK = 1_500
"""Mail and chat programs cut off what is much longer."""
_MADE = "share_made"
PRIVATE = "A private experiment is in it: saved views and snapshots are listed for everybody, so make it visible first"


@dataclass(frozen=True)
class Shared:
    """What a page offers to share. params: all that its address must say. experiments, variants: ids and number of what it shows.

    listed: ids of experiments of which it shows no more than their row in a list.

    markdown: makes the table that its readers see first. point: which of several points files with one row per variant hold.
    frames: makes tables to freeze that do not follow from the experiments. report: makes the report where it is of no single experiment.
    """

    page: str
    title: str
    params: Mapping[str, str]
    experiments: tuple[str, ...]
    variants: int
    markdown: Callable[[], str]
    point: str | None = None
    frames: Callable[[], Mapping[str, Sequence[Mapping[str, Any]]]] = field(default=dict)
    report: Callable[[], bytes] | None = None
    listed: tuple[str, ...] = ()


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
    private = store.private((*shared.experiments, *shared.listed))
    st.caption("Opens this exact view; results may change." + (" Only those who see its private experiments see them in it." if private else ""))
    if len(link) > LONGEST_LINK:
        st.warning(f"This link has {len(link):,} characters, and some programs cut it off. Save the view: its link is short.")
    name = str(st.text_input("Name", shared.title[:200], max_chars=200, key="share_name", help="Of the saved view, or of the snapshot"))
    if private:
        st.caption(f"{PRIVATE}.")
    with st.container(horizontal=True):
        st.button("Save the view", icon=":material/bookmark_add:", on_click=_save, args=(shared, name), key="share_save",
                  **permissions.control("A short link to this view under a name. Results may change.", disabled=private))  # fmt: skip
        st.button("Freeze a snapshot", icon=":material/ac_unit:", on_click=_freeze, args=(shared, name), key="share_freeze",
                  **permissions.control("Keeps all values as they are now, also if the experiment is renamed or deleted.", disabled=private))  # fmt: skip
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
        if shared.report is not None:
            st.download_button("Report (HTML)", shared.report, file_name=file_name(shared.page, "html"), mime="text/html; charset=utf-8",
                               key="share_report", icon=":material/download:", on_click="ignore")  # fmt: skip
        elif len(shared.experiments) == 1:
            (experiment_id,) = shared.experiments
            report = reports(Options(x=shared.params.get("x"), y=shared.params.get("y")))["html"]
            exports.button(report, [experiment_id], f"experiment_{experiment_id}", "share_report", shared.point)
        pages.link("reports", "Build a report", {"from": ",".join(shared.experiments)})


@permissions.action
def _save(shared: Shared, name: str) -> str:
    _for_everybody(shared)
    view_id = new_id()
    saved.save_view(permissions.database(), view_id, name=name, page=shared.page, params=dict(shared.params), variants=shared.variants,
                    owner=identity.current().name)  # fmt: skip
    _made(shared, "Saved view", view_id, "Opens this exact view; results may change. Its name can be changed in Reports.")
    return f"The view is saved as {' '.join(name.split())}."


@permissions.action
def _freeze(shared: Shared, name: str) -> str:
    _for_everybody(shared)
    found = [_whole(experiment_id) for experiment_id in shared.experiments]
    results = [(record, store.rows(record)) for record in found if record is not None]
    row = freeze(name, shared.page, shared.params, identity.current().name, results, shared.frames(), variants=shared.variants)
    saved.keep_snapshot(permissions.database(), row)
    _made(shared, "Frozen snapshot", row["id"], "Will not change, also if the experiment is renamed or deleted.")
    return f"{row['name']} is frozen."


def _for_everybody(shared: Shared) -> None:
    if store.private((*shared.experiments, *shared.listed)):
        raise ValueError(PRIVATE)


def _whole(experiment_id: str) -> Record | None:
    return store.record(experiment_id, "all")


def _made(shared: Shared, kind: str, view_id: str, says: str) -> None:
    link = pages.url("view", {"id": view_id})
    st.session_state[_MADE] = {"of": pages.url(shared.page, shared.params), "kind": kind, "link": link, "says": says}
