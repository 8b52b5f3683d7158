"""Says that experiments came in while one looks at the list, which does not move until one asks for them. Draws text only."""

from __future__ import annotations

from datetime import datetime

import streamlit as st

from dashboard.browse import actions, data, state
from dashboard.browse.address import View

EVERY_SECONDS = 5.0


def watch(view: View, moment: datetime) -> None:
    """moment: up to when the list knows what came."""
    st.fragment(run_every=EVERY_SECONDS)(_watch)(view, moment)


def _watch(view: View, moment: datetime) -> None:
    if not (number := data.arrived_since(view.filter, moment)):
        return
    if st.button(f"{actions.counted(number).replace(' ', ' new ', 1)} · Refresh", key="browse_refresh", icon=":material/refresh:", type="primary"):
        state.refresh()
        st.rerun()
