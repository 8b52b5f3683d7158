"""HTTP routes beside the pages, for other programs: health, and an experiment as CSV or JSON. They only read.

The functions are synchronous, so that a slow query takes a thread and not the event loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dashboard import links
from db import queries
from engine import export, settings
from engine.record import Record

# dashboard.store is imported when the first request comes: at the top it would be before the runtime that its caches ask for
_NO_STORE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def health(request: Request) -> Response:
    """200 and the number of living schedulers, 503 with the reason where the database cannot be used."""
    from dashboard import store

    try:
        db = _database()
        alive = [s for s in queries.schedulers(db) if s["age_seconds"] <= store.ALIVE_SECONDS]
        return _json({"status": "ok", "schedulers": len(alive), "experiments": queries.count_experiments(db)})
    except (ValueError, SQLAlchemyError) as error:
        return _json({"status": "error", "reason": store.reason(error)}, 503)


def experiment_csv(request: Request) -> Response:
    return _export(request, "csv", "text/csv; charset=utf-8", export.summary_csv)


def experiment_json(request: Request) -> Response:
    return _export(request, "json", "application/json", export.summary_json)


def _export(request: Request, ending: str, media_type: str, write: Callable[[Record, str | None], str]) -> Response:
    from dashboard import store

    wanted = links.experiment_id(request.path_params)
    try:
        record = queries.record(_database(), wanted) if wanted else None
        if record is None or wanted is None:
            return _json({"error": "there is no such experiment; it may have been deleted"}, 404)
        body = write(record, settings.experiment_link(wanted))
    except (ValueError, SQLAlchemyError) as error:
        return _json({"error": store.reason(error)}, 503)
    headers = _NO_STORE | {"Content-Disposition": f'attachment; filename="experiment_{wanted}.{ending}"'}
    return Response(body, media_type=media_type, headers=headers)


def _database() -> Engine:
    from dashboard import store

    return store.open_database(settings.database_url())


def _json(content: dict[str, Any], status: int = 200) -> JSONResponse:
    return JSONResponse(content, status, headers=_NO_STORE)


ROUTES = [
    Route("/api/v1/health", health),
    Route("/api/v1/experiments/{id}.csv", experiment_csv),
    Route("/api/v1/experiments/{id}.json", experiment_json),
]
