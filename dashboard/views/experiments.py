"""All experiments: filtered, searched, ticked, a page of them at a time."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import streamlit as st

from dashboard import pages, share, show, store, tray, words
from dashboard.browse import actions, address, arrivals, data, facets, kept, state, table
from dashboard.browse.address import View
from db.filter import Filter
from db.listing import Facets


def main() -> None:
    st.title("Experiments")
    view = state.follow_address()
    for problem in state.problems():
        st.warning(words.escape(f"The link asked for what cannot be. {problem}"))
    moment = state.known_until(view)
    if moment is None:
        st.info("There are no experiments yet. A first one takes a minute; real results of the project's GPUs are there at once.")
        pages.link("new_experiment", "Start an experiment")
        pages.link("start", "See real results, and what this machine can do")
        return
    wanted = replace(view.filter, known_until=moment)
    with show.loading():
        found = data.facets(wanted)
    facets.sidebar(view, found)
    facets.search(view)
    facets.pills(view)
    arrivals.watch(view, moment)
    actions.bar(view)
    if not found.total:
        _nothing(wanted)
        return
    assert wanted.size is not None, "an address names a number"
    last = -(-found.total // wanted.size)
    wanted = replace(wanted, page=min(wanted.page, last))
    with show.loading():
        frame = store.experiments(wanted)
    line = _count_line(wanted, found, len(frame))
    with st.container(horizontal=True, vertical_alignment="center", key="browse_count"):
        st.caption(line)
        table.order(view)
        share.dialog(_shared(view, frame, line))
        actions.download(wanted, found.total, "browse_csv")
        actions.more_files(wanted)
    table.draw(view, frame)
    table.turn(wanted, last)


def _shared(view: View, frame: pd.DataFrame, line: str) -> share.Shared:
    params = address.write_view(view) | tray.chosen().params()
    link = pages.url("experiments", params)
    return share.Shared("experiments", "Experiments", params, (), int(frame["variants"].sum()), lambda: table.markdown(view, frame, link),
                        listed=tuple(frame["id"]), frames=lambda: kept.frames(view, frame, line))  # fmt: skip


def _count_line(wanted: Filter, found: Facets, rows: int) -> str:
    assert wanted.size is not None
    first = (wanted.page - 1) * wanted.size + 1
    order = table.SORTED["-" * wanted.descending + wanted.sort]
    line = f"{first:,} to {first + rows - 1:,} of {found.total:,} · {order[:1].lower()}{order[1:]}"
    if not wanted.status and (missed := found.counts["status"].get("out_of_memory")):
        line += f" · in {missed:,} something did not fit"
    return line


def _nothing(wanted: Filter) -> None:
    """Which filter takes most away, and a button that drops it."""
    st.info("No experiment matches all of these filters.")
    without = data.counts_without(wanted)
    name = max(without, key=without.__getitem__, default=None)
    if name is None or not without[name]:
        if address.active(wanted):
            st.caption("No single one of them is to blame: drop several.")
        st.button("Drop all filters", key="browse_clear_all", icon=":material/filter_alt_off:", on_click=facets.clear)
        return
    asked = {"first": "from", "last": "to"}.get(name, name)
    values = [value for set_name, value in address.active(wanted) if set_name == asked] or [wanted.archived]
    label = f"{facets.LABELS[asked]}: {', '.join(facets.value_text(asked, v) for v in values)}"
    st.caption(words.escape(f"{label} takes most away. Without it there are {actions.counted(without[name])}."))
    if asked == "archived" and wanted.archived == "no":
        st.button("Show the archive too", key="browse_drop_most", on_click=facets.show_archive)
    else:
        st.button(words.escape(f"Drop {label}"), key="browse_drop_most", icon=":material/close:", on_click=facets.drop, args=(asked,))


if __name__ == "__main__":
    main()
