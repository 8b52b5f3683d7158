"""HTTP routes beside the pages, for other programs: health, and the files of export_routes.py. They only read.

The functions are synchronous, so that a slow query takes a thread and not the event loop.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dashboard import export_routes
from dashboard.export_routes import NO_STORE
from db import queries
from engine import settings

# dashboard.store is imported when the first request comes: at the top it would be before the runtime that its caches ask for


def health(request: Request) -> Response:
    """200 and the number of living schedulers, 503 with the reason where the database cannot be used."""
    from dashboard import store

    try:
        db = _database()
        alive = [s for s in queries.schedulers(db) if s["age_seconds"] <= store.ALIVE_SECONDS]
        return _json({"status": "ok", "schedulers": len(alive), "experiments": queries.count_experiments(db)})
    except (ValueError, SQLAlchemyError) as error:
        return _json({"status": "error", "reason": store.reason(error)}, 503)


def _database() -> Engine:
    from dashboard import store

    return store.open_database(settings.database_url())


def _json(content: dict[str, Any], status: int = 200) -> JSONResponse:
    return JSONResponse(content, status, headers=NO_STORE)


ROUTES = [
    Route("/api/v1/health", health),
    *export_routes.ROUTES,
]
