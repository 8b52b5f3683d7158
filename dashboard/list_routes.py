"""Lists of experiments for other programs, by the same filter grammar as the page: a page of JSON, and CSV of all that match."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from itertools import chain
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from dashboard.browse import address
from dashboard.endpoints import NO_STORE, Endpoint, answer_json
from db import listing
from db.filter import Filter
from engine import settings
from engine.export import experiments as exported

_PATH = "/api/v1/experiments"


def _filtered(answer: Callable[[Engine, Filter], Response]) -> Callable[[Request], Response]:
    """Reads the filter and opens the database; what cannot be is said with the field's name."""

    @wraps(answer)
    def listed(request: Request) -> Response:
        # imported when the first request comes: at the top it would be before the runtime that its caches ask for
        from dashboard import store

        params = request.query_params
        wanted, problems = address.read({name: params.getlist(name) for name in params})
        if problems:
            found = [{"field": p.field, "error": p.text} for p in problems]
            return answer_json({"error": str(problems[0]), "field": problems[0].field, "problems": found}, 400)
        try:
            return answer(store.open_database(settings.database_url()), wanted)
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


ENDPOINTS = (
    Endpoint(f"{_PATH}.json", experiments_json, "A page of the experiments that match, in order: total, pages, next (an address or null), experiments.",
             {"application/json": "One object per experiment"}, address.GRAMMAR, (400, 503)),
    Endpoint(f"{_PATH}.csv", experiments_csv, "All experiments that match, in order; page and size change nothing.",
             {"text/csv": "One row per experiment"}, address.GRAMMAR, (400, 503)),
)  # fmt: skip
