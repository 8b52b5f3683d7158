"""What an action says of its end, on top of the page: it stays for a while, however often the page is drawn anew meanwhile.

A polling fragment may redraw the page within a second, and a message that is taken out when it is first shown would be gone by then.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

import streamlit as st

from dashboard import words

STAYS_SECONDS = 12.0
_KEY = "notices"

Kind = Literal["success", "error"]


@dataclass
class _Notice:
    text: str
    kind: Kind
    first_shown: float | None = None


def say(text: str, kind: Kind = "success") -> None:
    """The page says this from its next drawing on, also if that is another page. `text` is no Markdown."""
    notice = _Notice(text, kind)
    st.session_state[_KEY] = [n for n in st.session_state.get(_KEY, []) if n.text != text] + [notice]


def waiting() -> bool:
    """Whether something has not been shown yet. A fragment whose button said it reruns the page then: the top of the page is not its own."""
    return any(n.first_shown is None for n in st.session_state.get(_KEY, []))


def show() -> None:
    """Draw those that are due; the shell of the pages calls this once per run."""
    now = time.monotonic()
    due = [n for n in st.session_state.get(_KEY, []) if n.first_shown is None or now - n.first_shown < STAYS_SECONDS]
    for notice in due:
        notice.first_shown = notice.first_shown or now
        if notice.kind == "success":
            st.success(words.escape(notice.text), icon=":material/check_circle:")
        else:
            st.error(words.escape(notice.text), icon=":material/error:")
    if due or _KEY in st.session_state:
        st.session_state[_KEY] = due
