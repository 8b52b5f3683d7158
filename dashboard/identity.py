"""Who asks for a page or a route. The only place that reads what a browser, an OIDC provider or a proxy says of a person.

Three ways, of which one is set: nobody is asked, and whoever comes is this installation's user with all rights; `[auth]` in secrets.toml,
and Streamlit's `st.login` signs people in; or LAB_AUTH_HEADER, in which a proxy says who has signed in (gate.py drops that header from
every connection that is not such a proxy's). What a role may do is permissions.py's; which roles there are, engine/access.py's.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from threading import Event
from typing import Any

import streamlit as st
from starlette.requests import HTTPConnection
from streamlit.auth_util import (
    get_cookie_with_chunks,
    get_origin_from_redirect_uri,
    get_secrets_auth_section,
    get_signing_secret,
)
from streamlit.runtime.secrets import secrets_singleton
from streamlit.web.server.starlette.starlette_app_utils import decode_signed_value
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

from db.visitor import Visitor
from engine import access, settings
from engine.access import Role


class Mode(StrEnum):
    LOCAL = "local"
    OIDC = "oidc"
    HEADER = "header"


@dataclass(frozen=True)
class Identity:
    """name: None for somebody who has not said who they are, and where nothing tells whose installation this is."""

    name: str | None
    role: Role

    @property
    def visitor(self) -> Visitor:
        return Visitor(self.name, sees_all=self.role is Role.ADMIN)


NOBODY = Identity(None, Role.NONE)
LOOKS_EVERY_SECONDS = 5.0
"""Whether there is a file of secrets is looked at no more often."""
_signed_in_here = Event()
"""Set once people had to sign in to this process."""
_ASKING: ContextVar[Identity | None] = ContextVar("asking", default=None)


def mode() -> Mode:
    """Raises ValueError where two ways are set, or a file of secrets cannot be read: a guess would let somebody in."""
    by_provider = _has_provider(int(time.monotonic() / LOOKS_EVERY_SECONDS))
    if access.auth_header() is not None:
        if by_provider:
            raise ValueError("LAB_AUTH_HEADER is set, and [auth] in secrets.toml: take one of them away")
        return Mode.HEADER
    return Mode.OIDC if by_provider else Mode.LOCAL


@lru_cache(maxsize=1)
def _has_provider(moment: int) -> bool:
    """Whether there is an [auth]. Streamlit looks for the files each time that it is asked, and a page asks for every control."""
    if not secrets_singleton.load_if_toml_exists() and (there := [f for f in st.get_option("secrets.files") if Path(f).is_file()]):
        raise ValueError(f"{', '.join(there)}: it cannot be read, so nobody knows whether people must sign in; put it right or take it away")
    if found := bool(get_secrets_auth_section()):
        _signed_in_here.set()
    elif _signed_in_here.is_set():  # the file is half written, or was emptied: nobody is let in by that
        raise ValueError("[auth] is gone from secrets.toml while the pages run: put it back, or start them anew to serve without signing in")
    return found


def required() -> bool:
    """Whether people must say who they are."""
    return mode() is not Mode.LOCAL


def current() -> Identity:
    """Of the request that a route answers, else of the page that is drawn."""
    return _ASKING.get() or of_page()


@contextmanager
def asking(who: Identity) -> Iterator[None]:
    """Inside, `current` is this one. For routes, which no page's session stands behind."""
    before = _ASKING.set(who)
    try:
        yield
    finally:
        _ASKING.reset(before)


def of_page() -> Identity:
    found = mode()
    if found is Mode.LOCAL:
        return Identity(settings.user(), Role.ADMIN)
    return _identity(_claimed(st.user) if found is Mode.OIDC else one_header(_of_connection(access.auth_header() or "")))


def _of_connection(header: str) -> list[str]:
    """As the page's WebSocket brought it, past gate.py."""
    return st.context.headers.get_all(header)


def of_request(request: HTTPConnection) -> Identity:
    found = mode()
    if found is Mode.LOCAL:
        return Identity(settings.user(), Role.ADMIN)
    return _identity(_claimed(_cookie(request.cookies)) if found is Mode.OIDC else one_header(request.headers.getlist(access.auth_header() or "")))


def one_header(values: list[str]) -> str | None:
    """A proxy that adds its header beside the visitor's own, in place of that, says two names: neither is believed."""
    return access.person(values[0]) if len(values) == 1 else None


def _identity(name: str | None) -> Identity:
    return NOBODY if name is None else Identity(name, access.role_of(name))


def _claimed(user: Mapping[str, Any]) -> str | None:
    """The claim that names a person; a mail address that the provider says it has not verified names nobody."""
    claim = access.auth_claim()
    if user.get("is_logged_in") is not True or (claim == "email" and user.get("email_verified", True) is not True):
        return None
    return access.person(user.get(claim))


def _cookie(cookies: Mapping[str, str]) -> dict[str, Any]:
    """What Streamlit's own pages take from the signed cookie that the sign-in left; {} where it is missing, forged or another site's."""
    secret = get_signing_secret()

    def signed(name: str) -> bytes | None:
        value = cookies.get(name)
        return None if value is None or not secret else decode_signed_value(secret, name, value.encode("latin-1"))

    content = get_cookie_with_chunks(signed, USER_COOKIE_NAME)
    if not content:
        return {}
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) and found.get("origin") == get_origin_from_redirect_uri() else {}
