"""What an HTTP route is here: an address, what answers, its description, and the check of who asks. A route cannot be made without them.

The description of all of them is openapi.py's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dashboard import identity
from engine.access import Role

# Nothing is kept by a browser or a proxy: results change. What is JSON is not read as a page.
NO_STORE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

ERRORS = {
    400: "A parameter cannot be; `field` names it",
    401: "Nobody has signed in, where people must; `error` says how",
    403: "Who has signed in may not read here",
    404: "There is no such experiment",
    503: "The database cannot be used; `error` says why",
}

SIGN_IN = "sign in first: this address answers those who have signed in on the pages, or whom the proxy in front of it names"


@dataclass(frozen=True)
class Parameter:
    """One word of an address. values: those allowed, empty for any. repeated: it may stand several times, and one of its values must hold."""

    name: str
    text: str
    values: tuple[str, ...] = ()
    repeated: bool = False


@dataclass(frozen=True)
class Endpoint:
    """answer: synchronous, so that a slow query takes a thread and not the event loop. media: {media type: what it holds}.

    open: it answers whoever asks, as somebody who has not signed in.
    """

    path: str
    answer: Callable[[Request], Response]
    text: str
    media: dict[str, str]
    query: tuple[Parameter, ...] = ()
    errors: tuple[int, ...] = (503,)
    name: str = field(default="")
    open: bool = False

    def route(self) -> Route:
        return Route(self.path, _checked(self), name=self.name or self.answer.__name__)

    def all_errors(self) -> tuple[int, ...]:
        """With those of a check that it did not ask for."""
        return tuple(sorted((*self.errors, *(() if self.open else (401, 403)))))


def _checked(endpoint: Endpoint) -> Callable[[Request], Response]:
    @wraps(endpoint.answer)
    def answer(request: Request) -> Response:
        who = identity.of_request(request)
        if not endpoint.open and who.name is None and identity.required():
            return answer_json({"error": SIGN_IN}, 401)
        if not endpoint.open and who.role is Role.NONE:
            return answer_json({"error": f"{who.name} has signed in, and may not read here; an admin can change that"}, 403)
        with identity.asking(who):
            return endpoint.answer(request)

    return answer


def answer_json(content: dict[str, Any], status: int = 200) -> JSONResponse:
    return JSONResponse(content, status, headers=NO_STORE)
