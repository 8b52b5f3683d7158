"""The address of a comparison as a file: `/api/v1/compare.csv?variants=ID.POSITION,…&base=…&split=…`, and `.json`. They only read.

The parameters are those of the page's own address; what else that says does not change the rows. Variants that are not there are left out
of the rows and named in the header X-Missing-Variants.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain

from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from dashboard import links
from dashboard.routes.endpoints import NO_STORE, Endpoint, Parameter, answer_json
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
            text = f"variants: name them, as in ?variants=ID.0,ID.1; at most {variant_ref.MOST}"
            return answer_json({"error": text, "field": "variants"}, 400)
        try:
            found, records, problems = reading.comparison(asked.refs, links.variant(request.query_params), split_of(request.query_params))
        except (ValueError, SQLAlchemyError) as error:
            return answer_json({"error": store.reason(error)}, 503)
        if found is None:
            return answer_json({"error": "; ".join(problems) or "none of these variants is there; they may have been deleted"}, 404)
        pieces = write(compared(found, records, settings.experiment_link))
        first = next(pieces, "")  # what cannot be written is said before the answer has begun
        named = {"Content-Disposition": f'attachment; filename="{file_name("compare", ending)}"'}
        missing = {"X-Missing-Variants": variant_ref.write(found.missing)} if found.missing else {}
        return StreamingResponse(chain((first,), pieces), media_type=media_type, headers=NO_STORE | named | missing)

    return comparison_file


_QUERY = (
    Parameter("variants", f"Which, as EXPERIMENTID.POSITION with commas between them, at most {variant_ref.MOST}"),
    Parameter("base", "The one that the others are compared with; without it the baseline of the first one's experiment"),
    Parameter("split", "Whether each device, or each set of equal conditions, has a baseline of its own", ("together", "device", "conditions")),
)
_TEXT = "Variants of several experiments side by side; those that are not there are named in the header X-Missing-Variants."
ENDPOINTS = (
    Endpoint("/api/v1/compare.csv", _answer("csv", CSV_MEDIA, csv_chunks), _TEXT, {CSV_MEDIA: "One row per variant, metric and point"},
             _QUERY, (400, 404, 503), name="compare_csv"),
    Endpoint("/api/v1/compare.json", _answer("json", JSON_MEDIA, json_chunks), _TEXT, {JSON_MEDIA: "One object per variant, metric and point"},
             _QUERY, (400, 404, 503), name="compare_json"),
)  # fmt: skip
