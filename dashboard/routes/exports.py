"""The address of every file of an experiment: `/api/v1/experiments/ID.ENDING`, sent in pieces. They only read."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from dashboard import links
from dashboard.report.formats import FORMATS
from dashboard.routes.endpoints import NO_STORE, Endpoint, Parameter, answer_json
from db import queries
from engine import settings
from engine.export.files import FileFormat, Source, file_name

_POINT = Parameter("point", "Of files with one row per variant: the point of each metric, as the page's address names it; the first without it")


def _answer(chosen: FileFormat) -> Callable[[Request], Response]:
    def experiment_file(request: Request) -> Response:
        # imported when the first request comes: at the top it would be before the runtime that its caches ask for
        from dashboard import store

        wanted = links.experiment_id(request.path_params)
        try:
            record = queries.record(store.engine(), wanted, samples=chosen.samples) if wanted else None
            if record is None or wanted is None:
                return answer_json({"error": "there is no such experiment; it may have been deleted"}, 404)
            pieces = chosen.write([Source(record, settings.experiment_link(wanted), links.text(request.query_params, "point"))])
            first = next(pieces, "")  # what cannot be written is said before the answer has begun
        except (ValueError, SQLAlchemyError) as error:
            return answer_json({"error": store.reason(error)}, 503)
        named = {"Content-Disposition": f'attachment; filename="{file_name(f"experiment_{wanted}", chosen.ending)}"'}
        return StreamingResponse(chain((first,), pieces), media_type=chosen.media_type, headers=NO_STORE | named)

    return experiment_file


# the longest ending first: ID.variants.csv would else be the CSV of an experiment ID.variants
ENDPOINTS = tuple(
    Endpoint(f"/api/v1/experiments/{{id}}.{chosen.ending}", _answer(chosen), f"One experiment: {chosen.label}", {chosen.media_type: chosen.label},
             (_POINT,) if chosen.row == "variant" else (), (404, 503), name=f"experiment_{name}")
    for name, chosen in sorted(FORMATS.items(), key=lambda item: -len(item[1].ending))
)  # fmt: skip
