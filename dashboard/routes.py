"""HTTP routes beside the pages, for other programs: health, lists, an experiment as CSV or JSON, and their description. They only read.

The functions are synchronous, so that a slow query takes a thread and not the event loop.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import Response

from dashboard import links, list_routes, openapi
from dashboard.endpoints import NO_STORE, Endpoint, answer_json
from db import queries
from engine import export, settings
from engine.record import Record

# dashboard.store is imported when the first request comes: at the top it would be before the runtime that its caches ask for


def health(request: Request) -> Response:
    """200 and the number of living schedulers, 503 with the reason where the database cannot be used."""
    from dashboard import store

    try:
        db = _database()
        alive = [s for s in queries.schedulers(db) if s["age_seconds"] <= store.ALIVE_SECONDS]
        return answer_json({"status": "ok", "schedulers": len(alive), "experiments": queries.count_experiments(db)})
    except (ValueError, SQLAlchemyError) as error:
        return answer_json({"status": "error", "reason": store.reason(error)}, 503)


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
            return answer_json({"error": "there is no such experiment; it may have been deleted"}, 404)
        body = write(record, settings.experiment_link(wanted))
    except (ValueError, SQLAlchemyError) as error:
        return answer_json({"error": store.reason(error)}, 503)
    headers = NO_STORE | {"Content-Disposition": f'attachment; filename="experiment_{wanted}.{ending}"'}
    return Response(body, media_type=media_type, headers=headers)


def _database() -> Engine:
    from dashboard import store

    return store.open_database(settings.database_url())


_OTHERS = (
    Endpoint("/api/v1/health", health, "Whether the database answers, and how many schedulers are alive.",
             {"application/json": "status, schedulers, experiments"}),
    *list_routes.ENDPOINTS,
    Endpoint("/api/v1/experiments/{id}.csv", experiment_csv, "One experiment: a row per variant x metric x point, with its verdict.",
             {"text/csv": "Summary"}, errors=(404, 503)),
    Endpoint("/api/v1/experiments/{id}.json", experiment_json, "The same rows as JSON.", {"application/json": "Summary"}, errors=(404, 503)),
)  # fmt: skip
ENDPOINTS = (*_OTHERS, openapi.endpoint(_OTHERS))
ROUTES = [endpoint.route() for endpoint in ENDPOINTS]
