"""Whether the pages may change anything: the one place that every action that writes asks, and is refused by.

Three parts: a control that writes draws itself with `**control()`, its callback is an `@action`, and it writes through
`database()`. Where LAB_READ_ONLY is set the first is disabled with the reason, the second says the reason, the third raises;
behind them the database refuses too (store.open_database).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypedDict

import streamlit as st
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from dashboard import notices, store
from engine import settings

READ_ONLY = "This dashboard is read-only (LAB_READ_ONLY is set): it shows and downloads everything, and changes nothing"

P = ParamSpec("P")


class Control(TypedDict):
    disabled: bool
    help: str | None


def refusal() -> str | None:
    """Why nothing may be written; None where it may. For routes: answer 403 with it."""
    return READ_ONLY if settings.read_only() else None


def control(help: str | None = None, *, disabled: bool = False) -> Control:
    """disabled and help of a widget whose action writes: `st.button("Cancel", on_click=..., **permissions.control())`."""
    why = refusal()
    return {"disabled": disabled or why is not None, "help": why or help}


def database() -> Engine:
    """The database for an action that writes. Raises ValueError where none may: a disabled button does not stop a forged click."""
    if why := refusal():
        raise ValueError(why)
    return store.database()


def action(callback: Callable[P, str | None]) -> Callable[P, None]:
    """A callback that writes. Its answer, and what it refuses by a ValueError, is said on top of the page."""

    @wraps(callback)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            if why := refusal():
                raise ValueError(why)
            said = callback(*args, **kwargs)
        except ValueError as error:
            notices.say(str(error), "error")
            return
        except SQLAlchemyError as error:  # locked for longer than one waits, full, or away
            logging.getLogger(__name__).exception("action %s", callback.__name__)
            notices.say(f"The database did not answer ({store.reason(error)}); nothing was changed. Try again.", "error")
            return
        if said:
            notices.say(said)

    return guarded


def banner() -> None:
    """On every page, where it is read-only."""
    if why := refusal():
        st.info(f"{why}.", icon=":material/lock:")
