"""The description of all HTTP routes as an OpenAPI document, made of the endpoints themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from dashboard.routes.endpoints import ERRORS, Endpoint, Parameter, answer_json

PATH = "/api/v1/openapi.json"
_IN_PATH = re.compile(r"{(\w+)}")


def document(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    return {
        "openapi": "3.1.0",
        "info": {"title": "LLM Trade-off Lab", "version": "1", "description": "Read-only. Times are UTC, numbers are in SI units, a missing one is null."},
        "paths": {e.path: {"get": _operation(e)} for e in endpoints},
    }


def endpoint(others: Iterable[Endpoint]) -> Endpoint:
    """The route that answers with the description of the others and of itself."""

    def openapi_json(request: Request) -> Response:
        return answer_json(described)

    itself = Endpoint(PATH, openapi_json, "This description.", {"application/json": "OpenAPI 3.1"}, errors=())
    described = document((*others, itself))
    return itself


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    in_path = [
        {"name": name, "in": "path", "required": True, "description": "Public id of an experiment", "schema": {"type": "string"}}
        for name in _IN_PATH.findall(endpoint.path)
    ]
    answers = {"200": {"description": "; ".join(endpoint.media.values()), "content": {media: {} for media in endpoint.media}}}
    errors = {
        str(status): {"description": ERRORS[status], "content": {"application/json": {"schema": _ERROR}}} for status in endpoint.all_errors()
    }
    return {
        "operationId": endpoint.route().name, "summary": endpoint.text, "parameters": [*in_path, *map(_parameter, endpoint.query)],
        "responses": answers | errors,
    }  # fmt: skip


def _parameter(parameter: Parameter) -> dict[str, Any]:
    one: dict[str, Any] = {"type": "string"} | ({"enum": list(parameter.values)} if parameter.values else {})
    schema = {"type": "array", "items": one} if parameter.repeated else one
    return {"name": parameter.name, "in": "query", "description": parameter.text, "schema": schema} | ({"explode": True} if parameter.repeated else {})


_ERROR = {"type": "object", "properties": {"error": {"type": "string"}, "field": {"type": "string"}}, "required": ["error"]}
