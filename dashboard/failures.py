"""What a page says where the database, or what another version wrote into it, fails: one message with a way out, never a traceback."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec

import streamlit as st
from sqlalchemy.exc import SQLAlchemyError

from dashboard import store, words

P = ParamSpec("P")


@contextmanager
def said(what: str) -> Iterator[None]:
    """Around everything that a page draws. what: names it in the log, where the traceback goes."""
    try:
        yield
    except SQLAlchemyError as error:
        logging.getLogger(__name__).exception("page %s", what)
        st.error(store.reason(error), title="The database did not answer", icon=":material/database_off:")
        st.button("Try again", icon=":material/refresh:", key=f"again_{what}")
    except ValueError as error:  # what another version or another program wrote into it
        logging.getLogger(__name__).exception("page %s", what)
        st.error(words.escape(str(error)), title="This cannot be shown", icon=":material/error:")


def guarded(body: Callable[P, None]) -> Callable[P, None]:
    """For the body of a fragment, which runs by itself, outside of what the page puts around it."""

    @wraps(body)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> None:
        with said(body.__name__):
            body(*args, **kwargs)

    return drawn
