"""The controls that choose which experiments are listed: facets with counts in the sidebar, search, and the active filters as pills."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import streamlit as st

from dashboard import identity, words
from dashboard.browse import address, state
from dashboard.browse.address import View
from db.filter import ARCHIVE, FACETS, SOURCES, STATES
from db.listing import Facets

LABELS = {
    "q": "Search", "id": "Experiment", "status": "Status", "model": "Model", "technique": "Technique", "workload": "Workload",
    "device": "Device", "tag": "Tag", "owner": "Owner", "source": "Source", "from": "From", "to": "To", "archived": "Archive",
}  # fmt: skip
SHOWN = 8
"""So many values of a facet are drawn at first; the ticked ones always."""
_STATES = words.STATUS | {"finished": "✔ finished", "out_of_memory": "⊘ did not fit"}
_SOURCES = dict(zip(SOURCES, ("here", "measured by the project", "imported"), strict=True))
_ARCHIVE = dict(zip(ARCHIVE, ("not archived", "archived", "all"), strict=True))


def value_text(name: str, value: str) -> str:
    known = {"status": _STATES, "source": _SOURCES, "archived": _ARCHIVE}.get(name, {})
    return known.get(value, value)


def sidebar(view: View, found: Facets) -> None:
    with st.sidebar:
        for name in FACETS:
            _facet(view, name, found)
        _days(view)
        _archive(view, found)


def search(view: View) -> None:
    """The search field, the buttons for what is finished and what is mine, and the one that drops all filters."""
    wanted, number = view.filter, len(address.active(view.filter))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if st.session_state.get("browse_q", "").strip() != wanted.q.strip():  # a space at the end is being typed: the next word follows
            state.put("browse_q", wanted.q)
        st.text_input("Search", key="browse_q", type="search", live="300ms", max_chars=address.SEARCH_CHARACTERS,
                      placeholder="Title, model, id or note", on_change=_search)  # fmt: skip
        st.button("Finished only", key="browse_finished", icon=":material/check:", on_click=_finished, disabled=wanted.status == ("finished",))
        if (me := identity.current().name) is not None:
            st.button("Mine", key="browse_mine", icon=":material/person:", on_click=_mine, args=(me,), disabled=wanted.owner == (me,),
                      help=f"What {words.escape(me)} started")  # fmt: skip
        st.button(f"Clear all ({number})", key="browse_clear", icon=":material/filter_alt_off:", on_click=clear, disabled=not number)


def pills(view: View) -> None:
    """Every filter that is set, each with a button that takes it away."""
    active = address.active(view.filter)
    if not active:
        return
    with st.container(horizontal=True, key="browse_pills"):
        for name, value in active:
            label = f"{LABELS[name]}: {value_text(name, value)}"
            short = label if len(label) <= 60 else f"{label[:59]}…"
            st.button(words.escape(short), key=f"browse_drop_{name}_{value}", icon=":material/close:", icon_position="right",
                      help="Drop this filter", on_click=drop, args=(name, value))  # fmt: skip


def drop(name: str, value: str | None = None) -> None:
    """Callback: without one value of a filter, or without all that it says."""
    state.show(replace(state.view(), filter=address.without(state.view().filter, name, value)))


def clear() -> None:
    """Callback: no filter; order, columns and what is ticked stay."""
    view = state.view()
    wanted = view.filter
    for name, value in address.active(wanted):
        wanted = address.without(wanted, name, value)
    state.show(replace(view, filter=wanted))


def show_archive() -> None:
    """Callback."""
    state.change(archived="all")


def _facet(view: View, name: str, found: Facets) -> None:
    counts, ticked = found.counts[name], list(getattr(view.filter, name))
    values = [*counts, *(v for v in ticked if v not in counts)]
    if not values or (not ticked and len(values) == 1 and counts[values[0]] == found.total):  # nothing to choose from
        return
    few = values if name in view.more or name == "status" else [v for i, v in enumerate(values) if i < SHOWN or v in ticked]
    if name == "status":
        few = [s for s in STATES if s in values]
    key = f"browse_{name}"
    if set(st.session_state.get(key, ())) != set(ticked):  # the order of clicks is no difference
        state.put(key, [v for v in few if v in ticked])

    def label(value: str) -> str:
        return f"{words.escape(value_text(name, value))} · {counts.get(value, 0):,}"

    st.pills(LABELS[name], few, selection_mode="multi", format_func=label, key=key, on_change=_choose, args=(name,))
    if hidden := len(values) - len(few):
        st.button(f"{hidden} more", key=f"browse_more_{name}", type="tertiary", on_click=_more, args=(name,))
    elif name in view.more:
        st.button("Fewer", key=f"browse_more_{name}", type="tertiary", on_click=_more, args=(name,))


def _days(view: View) -> None:
    days = {"first": ("Created from", view.filter.first), "last": ("Created until", view.filter.last)}
    drawer = st.expander("Created", key="browse_days", expanded=any(day for _, day in days.values()), on_change="rerun")
    if drawer.open:  # what is drawn only then does not slow the page's first paint
        with drawer:
            for name, (label, day) in days.items():
                state.put(f"browse_{name}", day)
                st.date_input(label, value=None, min_value=address.FIRST_DAY, max_value=address.LAST_DAY, key=f"browse_{name}",
                              format="YYYY-MM-DD", on_change=_day, args=(name,))  # fmt: skip


def _archive(view: View, found: Facets) -> None:
    counts = found.counts["archived"]
    number: dict[str, Any] = {**{v: counts.get(v, 0) for v in ("no", "yes")}, "all": sum(counts.values())}
    state.put("browse_archived", view.filter.archived)
    st.segmented_control("Archive", ARCHIVE, key="browse_archived", required=True, on_change=_choose_archive,
                         format_func=lambda v: f"{_ARCHIVE[v]} · {number[v]:,}")  # fmt: skip


def _search() -> None:
    state.change(q=st.session_state["browse_q"] or "")


def _finished() -> None:
    state.change(status=("finished",))


def _mine(me: str) -> None:
    state.change(owner=(me,))


def _choose(name: str) -> None:
    state.change(**{name: tuple(dict.fromkeys(st.session_state[f"browse_{name}"]))})


def _choose_archive() -> None:
    state.change(archived=st.session_state["browse_archived"] or "no")


def _day(name: str) -> None:
    """A day that would turn the span round moves the other end with it."""
    day, wanted = st.session_state[f"browse_{name}"], state.view().filter
    span: dict[str, date | None] = {"first": wanted.first, "last": wanted.last} | {name: day}
    if span["first"] and span["last"] and span["last"] < span["first"]:
        span = {"first": day, "last": day}
    state.change(**span)


def _more(name: str) -> None:
    view = state.view()
    more = tuple(n for n in view.more if n != name) if name in view.more else (*view.more, name)
    state.show(replace(view, more=more))
