"""Lists of experiments for other programs, by the same filter grammar as the page: a page of JSON, and CSV of all that match."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import wraps
from itertools import chain
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from dashboard.browse import address
from dashboard.routes.endpoints import NO_STORE, Endpoint, Parameter, answer_json
from db import listing
from db.filter import Filter
from engine import settings
from engine.export import experiments as exported
from engine.export.files import file_name
from engine.export.formats import CSV_MEDIA, csv_chunks
from engine.export.many import many

_PATH = "/api/v1/experiments"


def _filtered(answer: Callable[[Engine, Filter], Response], besides: tuple[str, ...] = ()) -> Callable[[Request], Response]:
    """Reads the filter and opens the database; what cannot be is said with the field's name. besides: parameters that are not the filter's."""

    @wraps(answer)
    def listed(request: Request) -> Response:
        # imported when the first request comes: at the top it would be before the runtime that its caches ask for
        from dashboard import store

        params = request.query_params
        wanted, problems = address.read({name: params.getlist(name) for name in params if name not in besides})
        if problems:
            found = [{"field": p.field, "error": p.text} for p in problems]
            return answer_json({"error": str(problems[0]), "field": problems[0].field, "problems": found}, 400)
        try:
            return answer(store.engine(), wanted)
        except (ValueError, SQLAlchemyError) as error:
            return answer_json({"error": store.reason(error)}, 503)

    return listed


@_filtered
def experiments_json(db: Engine, wanted: Filter) -> Response:
    assert wanted.size is not None, "an address names a number"
    total = listing.count(db, wanted)
    rows = [exported.document(row, settings.experiment_link) for row in listing.experiments(db, wanted).to_dict("records")]
    pages = -(-total // wanted.size)
    following = replace(wanted, page=wanted.page + 1) if wanted.page < pages else None
    found: dict[str, Any] = {"total": total, "page": wanted.page, "pages": pages, "size": wanted.size, "next": None, "experiments": rows}
    if following is not None:
        found["next"] = f"{settings.public_base_url()}{_PATH}.json?{urlencode(address.write(following))}"
    return answer_json(found)


@_filtered
def experiments_csv(db: Engine, wanted: Filter) -> Response:
    rows = (row for frame in listing.all_experiments(db, wanted) for row in frame.to_dict("records"))
    pieces = exported.csv_of(rows, settings.experiment_link)
    first = next(pieces)  # what cannot be read is said before the answer has begun
    named = {"Content-Disposition": 'attachment; filename="experiments.csv"'}
    return StreamingResponse(chain((first,), pieces), media_type="text/csv; charset=utf-8", headers=NO_STORE | named)


def variants_csv(request: Request) -> Response:
    try:
        until = _moment(request.query_params.get("until"))
    except (ValueError, OverflowError):
        return answer_json({"error": "until: write a moment in UTC, 2026-01-31T12:00:00Z", "field": "until"}, 400)

    def variants(db: Engine, wanted: Filter) -> Response:
        pieces = csv_chunks(many(db, listing.all_ids(db, replace(wanted, known_until=until)), settings.experiment_link))
        first = next(pieces)  # what cannot be read is said before the answer has begun
        named = {"Content-Disposition": f'attachment; filename="{file_name("variants", "csv")}"'}
        return StreamingResponse(chain((first,), pieces), media_type=CSV_MEDIA, headers=NO_STORE | named)

    return _filtered(variants, ("until",))(request)


def _moment(text: str | None) -> datetime | None:
    """Naive UTC, as the database has it."""
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)


_UNTIL = Parameter("until", "Leaves out what came into this database after this moment, UTC: 2026-01-31T12:00:00Z")
ENDPOINTS = (
    Endpoint(f"{_PATH}.json", experiments_json, "A page of the experiments that match, in order: total, pages, next (an address or null), experiments.",
             {"application/json": "One object per experiment"}, address.GRAMMAR, (400, 503)),
    Endpoint(f"{_PATH}.csv", experiments_csv, "All experiments that match, in order; page and size change nothing.",
             {"text/csv": "One row per experiment"}, address.GRAMMAR, (400, 503)),
    Endpoint("/api/v1/variants.csv", variants_csv, "All variants of the experiments that match, in order, with the values of the metrics that decide: "
             "medians over the rounds that count, in SI units, without verdicts.",
             {"text/csv": "One row per variant"}, (*address.GRAMMAR, _UNTIL), (400, 503)),
)  # fmt: skip
