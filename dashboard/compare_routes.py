"""The address of a comparison as a file: `/api/v1/compare.csv?variants=ID.POSITION,…&base=…&split=…`, and `.json`. They only read.

The parameters are those of the page's own address; what else that says does not change the rows. Variants that are not there are left out
of the rows and named in the header X-Missing-Variants.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain

from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from dashboard import links
from dashboard.export_routes import NO_STORE
from engine import settings, variant_ref
from engine.export.comparison import compared
from engine.export.files import file_name
from engine.export.formats import CSV_MEDIA, JSON_MEDIA, csv_chunks, json_chunks
from engine.export.table import Table


def _answer(ending: str, media_type: str, write: Callable[[Table], Iterator[str]]) -> Callable[[Request], Response]:
    def comparison_file(request: Request) -> Response:
        # imported when the first request comes: at the top they would be before the runtime that their caches ask for
        from dashboard import store
        from dashboard.comparing import reading
        from dashboard.comparing.shown import split_of

        asked = links.variants(request.query_params)
        if not asked.refs:
            return _error(f"variants: name them, as in ?variants=ID.0,ID.1; at most {variant_ref.MOST}", 400)
        try:
            found, records, problems = reading.comparison(asked.refs, links.variant(request.query_params), split_of(request.query_params))
        except (ValueError, SQLAlchemyError) as error:
            return _error(store.reason(error), 503)
        if found is None:
            return _error("; ".join(problems) or "none of these variants is there; they may have been deleted", 404)
        pieces = write(compared(found, records, settings.experiment_link))
        first = next(pieces, "")  # what cannot be written is said before the answer has begun
        named = {"Content-Disposition": f'attachment; filename="{file_name("compare", ending)}"'}
        missing = {"X-Missing-Variants": variant_ref.write(found.missing)} if found.missing else {}
        return StreamingResponse(chain((first,), pieces), media_type=media_type, headers=NO_STORE | named | missing)

    return comparison_file


def _error(text: str, status: int) -> JSONResponse:
    return JSONResponse({"error": text}, status, headers=NO_STORE)


ROUTES = [
    Route("/api/v1/compare.csv", _answer("csv", CSV_MEDIA, csv_chunks), name="compare_csv"),
    Route("/api/v1/compare.json", _answer("json", JSON_MEDIA, json_chunks), name="compare_json"),
]
