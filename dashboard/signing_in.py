"""What a page shows of who looks at it: the door for those who have not signed in, and a line with the name, the role and a way out."""

from __future__ import annotations

import streamlit as st

from dashboard import gate, identity, words
from dashboard.identity import Mode
from engine.access import Role


def door() -> None:
    """Ends the page where nobody has signed in who may read here; before anything is read from the database."""
    who = identity.current()
    if who.role is not Role.NONE:
        return
    st.title("LLM Trade-off Lab")
    if who.name is not None:
        st.error(words.escape(f"You are signed in as {who.name}, and have no access here. An admin can give you a role."), icon=":material/lock:")
        _sign_out()
    elif identity.mode() is Mode.OIDC:
        st.markdown("Sign in to see the experiments of this installation.")
        st.button("Sign in", icon=":material/login:", type="primary", key="sign_in", on_click=st.login)
    else:
        st.error(f"{gate.UNSIGNED}.", icon=":material/lock:")
    st.stop()


def line() -> None:
    """On every page, where people sign in."""
    if not identity.required():
        return
    who = identity.current()
    with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center", key="signed_in"):
        st.text(f"{who.name} · {who.role.word}", width="content")  # not Markdown: that makes a link of a mail address
        _sign_out()


def _sign_out() -> None:
    """A proxy's sign-in is ended at the proxy."""
    if identity.mode() is Mode.OIDC:
        st.button("Sign out", icon=":material/logout:", type="tertiary", key="sign_out", on_click=st.logout)
