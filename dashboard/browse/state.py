"""What the Experiments page shows now: the View in the session and in the address, which say the same.

What an address newly says wins, so that links, reload and the browser's Back work. A click comes with the address as the browser
had it, which may be one click old: a control's change, made in its callback, wins over the address that came with it, and for a
moment what this session has just replaced is no news. Only callbacks change the view.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime
from typing import Any

import streamlit as st

from dashboard import pages
from dashboard.browse import address, data
from dashboard.browse.address import View

PAGE = "experiments"
STALE_SECONDS = 1.5
_VIEW, _CHANGED, _REPLACED, _PROBLEMS, _LOOKED_AT = "browse_view", "browse_changed", "browse_replaced", "browse_problems", "browse_looked_at"

Said = dict[str, str]


def follow_address() -> View:
    """Once per run, before anything is drawn: the view, after address and session have been brought together."""
    came = {name: st.query_params.get_all(name) for name in address.NAMES if name in st.query_params}
    said: Said = {name: ",".join(values) for name, values in came.items()}
    arrived = st.session_state.get("page_before") != PAGE
    changed = st.session_state.pop(_CHANGED, False)
    ours = address.write_view(view())
    news = said != ours and not changed and not (arrived and not said) and (arrived or not _just_replaced(said))
    if news:
        st.session_state[_VIEW], st.session_state[_PROBLEMS] = address.read_view(came)
        ours = address.write_view(view())
    _write(ours)  # also what it says already: what a callback wrote is lost where the next click came before it was sent
    return view()


def view() -> View:
    found = st.session_state.get(_VIEW)
    return found if isinstance(found, View) else View()


def problems() -> list[str]:
    """What the address asked for in vain, until something is changed."""
    return [str(p) for p in st.session_state.get(_PROBLEMS, ())]


def show(new: View) -> None:
    """For callbacks: the page shows this from now on, and its address says so."""
    if new == view():
        return
    before = address.write_view(view())
    st.session_state[_REPLACED] = [*st.session_state.get(_REPLACED, [])[-20:], (before, time.monotonic())]
    st.session_state[_VIEW], st.session_state[_CHANGED] = new, True
    st.session_state.pop(_PROBLEMS, None)
    _write(address.write_view(new))


def change(**filters: Any) -> None:
    """For callbacks: other values of the filter's fields. The first page again, unless a page is given."""
    show(replace(view(), filter=replace(view().filter, **({"page": 1} | filters))))


def put(key: str, value: Any) -> None:
    """Before a control is drawn: it shows this. What it shows already is not sent again, so that typing is not disturbed."""
    if key not in st.session_state or st.session_state[key] != value:
        st.session_state[key] = value


def known_until(view: View) -> datetime | None:
    """Rows that came later are left out, so that the table does not move; from a change of the filter on they are in."""
    wanted = address.write(replace(view.filter, page=1))
    looked_at = st.session_state.get(_LOOKED_AT)
    if looked_at is None or looked_at[0] != wanted or st.session_state.get("page_before") != PAGE:
        looked_at = st.session_state[_LOOKED_AT] = (wanted, data.newest_experiment())
    moment: datetime | None = looked_at[1]
    return moment


def refresh() -> None:
    """For callbacks: what came meanwhile is in the table too."""
    st.session_state.pop(_LOOKED_AT, None)


def _just_replaced(said: Said) -> bool:
    now = time.monotonic()
    return any(before == said and now - since < STALE_SECONDS for before, since in st.session_state.get(_REPLACED, ()))


def _write(said: Said) -> None:
    pages.into_address(address.NAMES, said)
