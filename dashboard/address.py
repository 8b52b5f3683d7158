"""What the address says, for the parts of a page that keep their state in it: whether it is news, and what was written there.

The address that comes with a click may be one click old, because the browser had not yet heard of the last change. So what this
session wrote itself is no news, however often it comes back; what it said when the page was come to always is, once for each part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from dashboard import pages

_PAGE, _OF, _ARRIVAL, _WRITTEN = "address_page", "address_of", "address_arrival", "address_written"
_REMEMBERED = 20


def begin(page: str, of: str = "") -> None:
    """Before anything of the page at this address draws itself. of: what it shows, where it is of one thing: another one is come to anew."""
    if (st.session_state.get(_PAGE), st.session_state.get(_OF)) != (page, of):
        st.session_state[_PAGE], st.session_state[_OF] = page, of
        arrive()


def arrive() -> None:
    """What the address says now is what the page was come to with; also for a page that completes its own address."""
    st.session_state[_ARRIVAL] = {"said": st.query_params.to_dict(), "taken": set()}


def here() -> str | None:
    """The address of the page that is looked at; in a callback, of the one that was clicked on."""
    found = st.session_state.get(_PAGE)
    return found if isinstance(found, str) else None


def arrival(owner: str) -> dict[str, str] | None:
    """All that the address said when the page was come to, to each owner once; None from then on."""
    arrived: dict[str, Any] = st.session_state.get(_ARRIVAL) or {"said": {}, "taken": {owner}}
    if owner in arrived["taken"]:
        return None
    arrived["taken"].add(owner)
    return dict(arrived["said"])


def news(owner: str, names: Sequence[str]) -> dict[str, str] | None:
    """What the address says of these names now; None where that is what this session wrote, or has heard before."""
    said = _said(names)
    if said in st.session_state.get(f"{_WRITTEN}_{owner}", []):
        return None
    _remember(owner, said)
    return said


def say(owner: str, names: Sequence[str], params: Mapping[str, str]) -> None:
    """The address says these; those of the names that have no value are gone from it."""
    if _said(names) != params:
        pages.into_address(names, params)
    _remember(owner, params)


def _remember(owner: str, said: Mapping[str, str]) -> None:
    key = f"{_WRITTEN}_{owner}"
    written = st.session_state.get(key, [])
    if said not in written[-1:]:
        st.session_state[key] = [*written, dict(said)][-_REMEMBERED:]


def _said(names: Sequence[str]) -> dict[str, str]:
    return {name: st.query_params[name] for name in names if name in st.query_params}
