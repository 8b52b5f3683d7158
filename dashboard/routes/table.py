"""HTTP routes beside the pages, for other programs: health, lists, the files of exports.py, and their description. They only read.

The functions are synchronous, so that a slow query takes a thread and not the event loop.
"""

from __future__ import annotations

from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import Response

from dashboard.routes import compare, exports, lists, openapi
from dashboard.routes.endpoints import Endpoint, answer_json
from db import queries, state

# dashboard.store is imported when the first request comes: at the top it would be before the runtime that its caches ask for


def health(request: Request) -> Response:
    """200 and the number of living schedulers, with the problem where there is none: the pages work without. 503 with the reason where the
    database cannot be used."""
    from dashboard import store

    try:
        db = store.engine()
        if not state.is_there(db):
            raise ValueError("the database file is gone; put it back, or restore a backup, and start the lab anew")
        alive = [s for s in queries.schedulers(db) if s["age_seconds"] <= store.ALIVE_SECONDS]
        problem = None if alive else "no scheduler is alive, so nothing that is queued is run"
        return answer_json({"status": "ok", "schedulers": len(alive), "experiments": queries.count_experiments(db), "problem": problem})
    except (ValueError, SQLAlchemyError) as error:
        return answer_json({"status": "error", "reason": store.reason(error)}, 503)


_OTHERS = (
    Endpoint("/api/v1/health", health, "Whether the database answers, and how many schedulers are alive.",
             {"application/json": "status, schedulers, experiments, problem"}, open=True),
    *lists.ENDPOINTS,
    *exports.ENDPOINTS,
    *compare.ENDPOINTS,
)  # fmt: skip
ENDPOINTS = (*_OTHERS, openapi.endpoint(_OTHERS))
ROUTES = [endpoint.route() for endpoint in ENDPOINTS]
