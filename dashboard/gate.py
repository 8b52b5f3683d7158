"""In front of pages and routes, where a proxy says who has signed in: drops that header from every connection that is not such a proxy's,
and answers 401 to whoever has no name then, before any session or query. Elsewhere it lets everything through.

Raw ASGI, so that the pages' WebSocket passes here too.
"""

from __future__ import annotations

import os
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from dashboard import identity
from engine import access

OPEN = ("/api/v1/health", "/_stcore/health")
UNSIGNED = "Sign in: this address is served behind a proxy that says who asks, and this request came without a name"


def check() -> None:
    """Before the first request. Raises ValueError where who connects could not be told, or who somebody is could be read in two ways."""
    access.check()
    # uvicorn would put the address that X-Forwarded-For claims in place of the one that connects
    if identity.mode() is identity.Mode.HEADER and os.environ.get("FORWARDED_ALLOW_IPS") != "":
        raise ValueError("LAB_AUTH_HEADER: start the pages with `make run`, or set FORWARDED_ALLOW_IPS to nothing (FORWARDED_ALLOW_IPS=)")


class Gate:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = access.auth_header()
        if scope["type"] not in ("http", "websocket") or name is None:
            await self.app(scope, receive, send)
            return
        client = scope.get("client")
        if not access.trusts(client[0] if client else None):
            raw = name.encode("latin-1")
            scope = {**scope, "headers": [(key, value) for key, value in scope["headers"] if key.lower() != raw]}
        if scope["path"] in OPEN or identity.one_header(Headers(scope=scope).getlist(name)) is not None:
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})  # before it is accepted: the browser is told 403
        else:
            await _unsigned(scope)(scope, receive, send)


def _unsigned(scope: dict[str, Any] | Scope) -> Response:
    if scope["path"].startswith("/api/"):
        return JSONResponse({"error": UNSIGNED}, 401, headers={"Cache-Control": "no-store"})
    return PlainTextResponse(f"{UNSIGNED}.\n", 401, headers={"Cache-Control": "no-store"})
