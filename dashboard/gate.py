"""In front of pages and routes. Routes answer under this installation's own names only, as Streamlit's pages do: a foreign name that
resolves to this machine would let another site's page read them. Where a proxy says who has signed in, its header is dropped from every
connection that is not such a proxy's, and 401 answers whoever has no name then, before any session or query. However people sign in, files
that pages hand out and take are for those who may read here.

Raw ASGI, so that the pages' WebSocket passes here too.
"""

from __future__ import annotations

import os

import streamlit as st
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from streamlit.auth_util import is_authlib_installed
from streamlit.web.server.starlette.starlette_websocket import is_host_allowed

from dashboard import identity
from engine import access
from engine.access import Role

FILES = ("/media/", "/_stcore/upload_file")
OPEN = ("/api/v1/health", "/_stcore/health")
UNSIGNED = "Sign in: this address is for those whom the proxy in front of it, or a sign-in on the pages, names"
FOREIGN = "this installation does not answer under this name; PUBLIC_BASE_URL gives it one"
_NO_STORE = {"Cache-Control": "no-store"}


def check() -> None:
    """Before the first request. Raises ValueError where who connects could not be told, or who somebody is could be read in two ways."""
    access.check()
    if identity.mode() is identity.Mode.OIDC and not is_authlib_installed():
        raise ValueError("[auth] in secrets.toml: signing in needs packages: .venv/bin/pip install -r requirements-server.txt")
    if identity.required() and st.get_option("server.baseUrlPath"):
        raise ValueError("server.baseUrlPath: with signing in, serve at the root of a name of its own: which addresses hand out files is told by their path")
    # uvicorn would put the address that X-Forwarded-For claims in place of the one that connects
    if identity.mode() is identity.Mode.HEADER and os.environ.get("FORWARDED_ALLOW_IPS") != "":
        raise ValueError("LAB_AUTH_HEADER: start the pages with `make run`, or set FORWARDED_ALLOW_IPS to nothing (FORWARDED_ALLOW_IPS=)")


class Gate:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        if scope["path"].startswith("/api/") and not is_host_allowed(Headers(scope=scope).get("host")):
            await JSONResponse({"error": FOREIGN}, 400, headers=_NO_STORE)(scope, receive, send)
            return
        name = access.auth_header()
        client = scope.get("client")
        if name is not None and not access.trusts(client[0] if client else None):
            raw = name.encode("latin-1")
            scope = {**scope, "headers": [(key, value) for key, value in scope["headers"] if key.lower() != raw]}
        if _passes(scope, name):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})  # before it is accepted: the browser is told 403
        else:
            await _unsigned(scope)(scope, receive, send)


def _passes(scope: Scope, header: str | None) -> bool:
    if scope["path"].startswith(FILES):
        return identity.of_request(HTTPConnection(scope)).role is not Role.NONE
    return header is None or scope["path"] in OPEN or identity.one_header(Headers(scope=scope).getlist(header)) is not None


def _unsigned(scope: Scope) -> Response:
    if scope["path"].startswith("/api/"):
        return JSONResponse({"error": UNSIGNED}, 401, headers=_NO_STORE)
    return PlainTextResponse(f"{UNSIGNED}.\n", 401, headers=_NO_STORE)
