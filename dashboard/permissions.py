"""Whether a visitor may change anything, and what: the one place that every action that writes asks, and is refused by.

Three parts: a control that writes draws itself with `**control()`, its callback is an `@action`, and it writes through `database()`, which
is told whose experiments it changes. Where the visitor's role or LAB_READ_ONLY forbids it the first is disabled with the reason, the
second says the reason, the third raises; behind read-only pages the database refuses too (store.open_database).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import ParamSpec, TypedDict

import streamlit as st
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from dashboard import identity, notices, store, words
from db.visitor import owners
from engine import settings
from engine.access import Role

READ_ONLY = "This dashboard is read-only (LAB_READ_ONLY is set): it shows and downloads everything, and changes nothing"

P = ParamSpec("P")


class Control(TypedDict):
    disabled: bool
    help: str | None


def refusal(of: Iterable[str | None] = ()) -> str | None:
    """Why the visitor may write nothing, or may not change what belongs to these; None where they may. For routes: answer 403 with it."""
    if settings.read_only():
        return READ_ONLY
    who = identity.current()
    if who.role < Role.RUNNER:
        return f"Your role here is {who.role.word}: you can see and download, and change nothing. An admin can make you a runner"
    if who.role < Role.ADMIN and (others := sorted({owner or "nobody here" for owner in of if owner is None or owner != who.name})):
        return f"It belongs to {', '.join(others[:3])}{', …' * (len(others) > 3)}: only the owner and admins can change it"
    return None


def control(help: str | None = None, *, disabled: bool = False, of: Iterable[str | None] = ()) -> Control:
    """disabled and help of a widget whose action writes: `st.button("Cancel", on_click=..., **permissions.control(of=[owner]))`.

    of: the owners of what it would change.
    """
    why = refusal(of)
    said = words.escape(why) if why and why != READ_ONLY else why  # help is Markdown, and names are what people chose
    return {"disabled": disabled or why is not None, "help": said or help}


def database(changes: Sequence[str] = ()) -> Engine:
    """The database for an action that writes. changes: ids of the experiments that it changes; those that are not there are not refused here.

    Raises ValueError where the visitor may not: a disabled button does not stop a forged click.
    """
    db = store.database()
    if why := refusal(owners(db, changes).values() if changes else ()):
        raise ValueError(why)
    return db


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
            notices.say(f"The database did not answer ({store.reason(error)}): this was not done, or not all of it. Try again.", "error")
            return
        if said:
            notices.say(said)

    return guarded


def banner() -> None:
    """On every page, where it is read-only."""
    if settings.read_only():
        st.info(f"{READ_ONLY}.", icon=":material/lock:")
