"""What an HTTP route is here: an address, what answers, and its description. A route cannot be made without one.

The description of all of them is openapi.py's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

# Nothing is kept by a browser or a proxy: results change. What is JSON is not read as a page.
NO_STORE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

ERRORS = {
    400: "A parameter cannot be; `field` names it",
    404: "There is no such experiment",
    503: "The database cannot be used; `error` says why",
}


@dataclass(frozen=True)
class Parameter:
    """One word of an address. values: those allowed, empty for any. repeated: it may stand several times, and one of its values must hold."""

    name: str
    text: str
    values: tuple[str, ...] = ()
    repeated: bool = False


@dataclass(frozen=True)
class Endpoint:
    """answer: synchronous, so that a slow query takes a thread and not the event loop. media: {media type: what it holds}."""

    path: str
    answer: Callable[[Request], Response]
    text: str
    media: dict[str, str]
    query: tuple[Parameter, ...] = ()
    errors: tuple[int, ...] = (503,)
    name: str = field(default="")

    def route(self) -> Route:
        return Route(self.path, self.answer, name=self.name or self.answer.__name__)


def answer_json(content: dict[str, Any], status: int = 200) -> JSONResponse:
    return JSONResponse(content, status, headers=NO_STORE)
