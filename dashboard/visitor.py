"""Who looks at a page: the owner of what is saved and started from it."""

from __future__ import annotations

import streamlit as st

from engine import settings


def name() -> str | None:
    """Whoever has signed in, where pages ask for that; else whose installation this is. None where nothing tells."""
    signed_in = st.user.get("email") or st.user.get("name")
    return str(signed_in)[:120] if signed_in else settings.user()
