"""Who started, cancelled, changed, shared, imported or deleted what, and when: for admins."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard import identity, links, pages, show, store, words
from db import audit
from engine.access import Role

PER_PAGE = 100


def main() -> None:
    st.title("Who did what")
    if identity.current().role < Role.ADMIN:
        st.error("This page is for admins.", icon=":material/lock:")
        return
    _, total = audit.acts(store.database(), 0)
    if not total:
        st.info("Nothing has been done yet. What people start, cancel, change, share, import or delete is listed here.")
        pages.link("experiments", "All experiments")
        return
    page = links.page_number(st.query_params, last := -(-total // PER_PAGE))
    rows, _ = audit.acts(store.database(), PER_PAGE, (page - 1) * PER_PAGE)
    st.caption(f"{(page - 1) * PER_PAGE + 1:,} to {(page - 1) * PER_PAGE + len(rows):,} of {total:,}, newest first. "
               "In a terminal: `.venv/bin/python -m engine audit`.")  # fmt: skip
    listed = [(words.moment_text(row["at"]), row["who"], row["action"], row["subject"], row["subject_id"] or "") for row in rows]
    show.table(pd.DataFrame(listed, columns=["When", "Who", "Did", "What", "Id"]), "What people did, newest first.", "audit")
    with st.container(horizontal=True):
        if page > 1:
            pages.link("audit", "Newer", {"page": str(page - 1)}, icon=":material/chevron_left:")
        if page < last:
            pages.link("audit", "Older", {"page": str(page + 1)}, icon=":material/chevron_right:")


if __name__ == "__main__":
    main()
