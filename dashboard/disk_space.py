"""What lies on this machine's disk and can be fetched or made again: how large each cache is, what is in it, and the button that clears it."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard import identity, permissions, show, words
from engine import caches, disk, settings
from engine.access import Role
from engine.metrics import format_bytes

_CLEARED = ("exports", "hub", "wheels")
"""What comes back by itself. Folders of runs do not: `python -m engine clean runs`."""
_LISTED = 20


@st.cache_data(ttl=60, max_entries=1, show_spinner="Looking at the disk")
def _looked(data: str) -> list[caches.Cache]:
    """data: the data directory, which the answer is of."""
    return caches.caches()


def section() -> None:
    """Closed until somebody asks: it looks at every file. On a server the disk is for admins."""
    if identity.current().role < Role.ADMIN:
        return
    opened = st.expander("Disk: what can be cleared", icon=":material/hard_drive:", key="disk_space", on_change="rerun")
    if opened.open:
        with opened:
            _caches(_looked(str(settings.data_dir())))


def _caches(found: list[caches.Cache]) -> None:
    st.caption(
        f"{format_bytes(disk.free_bytes(settings.data_dir()))} free beside the data directory. Exports and baselines' outputs take at most "
        f"{format_bytes(settings.cache_limit())} (LAB_CACHE_LIMIT): the oldest make room when a scheduler starts. Results are in none of these."
    )
    rows = [(c.label, format_bytes(c.size_bytes), len(c.entries), c.again) for c in found]
    show.table(pd.DataFrame(rows, columns=["What", "Size", "Entries", "If it is missing"]), "What takes disk and is no result.", "caches")
    with st.container(horizontal=True):
        for cache in (c for c in found if c.name in _CLEARED and c.entries):
            _clear_button(cache)


def _clear_button(cache: caches.Cache) -> None:
    with st.popover(f"Clear: {cache.label}", icon=":material/delete_sweep:"):
        st.markdown(words.escape(f"{len(cache.entries)} entr{'y' if len(cache.entries) == 1 else 'ies'}, {format_bytes(cache.size_bytes)}; {cache.again}."))
        rows = [(e.name, format_bytes(e.size_bytes)) for e in cache.entries[:_LISTED]]
        show.table(pd.DataFrame(rows, columns=["Largest", "Size"]), f"The largest of {cache.label}.", f"cache_{cache.name}")
        st.button("Clear", key=f"clear_{cache.name}", icon=":material/delete_sweep:", on_click=_clear, args=(cache.name,), **permissions.control())


@permissions.action
def _clear(name: str) -> str:
    permissions.database()  # refuses a forged click
    if identity.current().role < Role.ADMIN or name not in _CLEARED:
        raise ValueError(f"cache: {name!r} cannot be cleared here")
    freed = caches.clear(name)
    _looked.clear()
    return f"{format_bytes(freed)} freed"

