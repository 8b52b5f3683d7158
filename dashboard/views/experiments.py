"""All experiments, newest first, a page of them at a time."""

from __future__ import annotations

import streamlit as st

from dashboard import links, pages, store, words
from db import queries
from db.filter import Filter

PER_PAGE = 20
_SOURCE = {"reference": "measured by the project", "imported": "imported"}


def main() -> None:
    st.title("Experiments")
    total = queries.count_experiments(store.database())
    if total == 0:
        st.info("There are no experiments yet.")
        pages.link("new_experiment", "Start an experiment")
        return
    last = -(-total // PER_PAGE)
    page = links.page_number(st.query_params, last)
    first = (page - 1) * PER_PAGE
    rows = store.experiments(Filter(size=PER_PAGE, page=page, archived="all"))
    st.caption(f"{first + 1} to {first + len(rows)} of {total}, newest first")
    for row in rows.to_dict("records"):
        with st.container(border=True):
            pages.link("experiment", row["title"], {"id": row["id"]})
            counts = {s: row[s] for s in queries.STATUSES if row[s]}
            facts = [row["model"], row["device"], f"{row['created_at']:%Y-%m-%d %H:%M} UTC", _SOURCE.get(row["source"], "")]
            st.caption(words.escape(" · ".join([words.experiment_status(counts), *filter(None, facts)])))
    with st.container(horizontal=True):
        if page > 1:
            pages.link("experiments", "Newer", {"page": str(page - 1)}, icon=":material/chevron_left:")
        if page < last:
            pages.link("experiments", "Older", {"page": str(page + 1)}, icon=":material/chevron_right:")


if __name__ == "__main__":
    main()
