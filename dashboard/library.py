"""The list of saved views and snapshots on the page Reports: opens, renames, deletes. What is not one's own can only be opened."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import identity, links, pages, permissions, store, words
from db import saved

PER_PAGE = 10
KINDS = {"All": None, "Saved views": "view", "Frozen snapshots": "snapshot"}
_WHAT = {"view": "saved view, results may change", "snapshot": "frozen snapshot, will not change"}
_ICON = {"view": ":material/bookmark:", "snapshot": ":material/ac_unit:"}


def draw() -> None:
    kind = KINDS[st.segmented_control("Kind", list(KINDS), default="All", required=True, key="library_kind", label_visibility="collapsed") or "All"]
    _, total = saved.listed(store.database(), 0, kind=kind)
    if total == 0:
        st.info("Nothing is saved yet. Share, on the page of an experiment or of a comparison, saves a view or freezes a snapshot.")
        pages.link("experiments", "All experiments")
        return
    last = -(-total // PER_PAGE)
    page = links.page_number(st.query_params, last)
    rows, _ = saved.listed(store.database(), PER_PAGE, (page - 1) * PER_PAGE, kind)
    st.caption(f"{(page - 1) * PER_PAGE + 1} to {(page - 1) * PER_PAGE + len(rows)} of {total}, newest first")
    me = identity.current().name
    for row in rows:
        with st.container(border=True):
            _row(row, own=row["owner"] == me)
    with st.container(horizontal=True):
        if page > 1:
            pages.link("reports", "Newer", {"page": str(page - 1)}, icon=":material/chevron_left:")
        if page < last:
            pages.link("reports", "Older", {"page": str(page + 1)}, icon=":material/chevron_right:")


def _row(row: dict[str, Any], *, own: bool) -> None:
    pages.link("view", row["name"], {"id": row["id"]}, icon=_ICON[row["kind"]])
    variants = f"{row['variants']} variant{'s' * (row['variants'] != 1)}"
    facts = [_WHAT[row["kind"]], row["page"], variants, f"by {row['owner'] or 'somebody unnamed'}", words.moment_text(row["created_at"])]
    st.caption(words.escape(" · ".join(facts)))
    with st.container(horizontal=True):
        with st.popover("Link", icon=":material/link:", key=f"link_{row['id']}"):
            st.code(pages.url("view", {"id": row["id"]}), language=None, wrap_lines=True)
            st.caption("A link gives no access by itself.")
        if own and row["kind"] == "view":
            with st.popover("Rename", icon=":material/edit:", key=f"rename_{row['id']}"):
                name = str(st.text_input("Name", row["name"], max_chars=200, key=f"name_{row['id']}"))
                st.button("Rename it", key=f"rename_now_{row['id']}", on_click=_rename, args=(row["id"], name), **permissions.control())
        if own:
            with st.popover("Delete", icon=":material/delete:", key=f"delete_{row['id']}"):
                st.markdown("Its link will no longer work. Experiments are not touched.")
                args = (row["kind"], row["id"], row["name"])
                st.button("Delete for good", type="primary", key=f"delete_now_{row['id']}", on_click=_delete, args=args, **permissions.control())


@permissions.action
def _rename(view_id: str, name: str) -> str:
    if not saved.rename_view(permissions.database(), view_id, name, identity.current().name):
        raise ValueError("view: there is none of yours with this id; it may have been deleted")
    return f"It is named {' '.join(name.split())} now; its link stays."


@permissions.action
def _delete(kind: str, view_id: str, name: str) -> str:
    delete = saved.delete_view if kind == "view" else saved.delete_snapshot
    if not delete(permissions.database(), view_id, identity.current().name):
        raise ValueError(f"{kind}: there is none of yours with this id; it may have been deleted")
    return f"{name} is deleted."
