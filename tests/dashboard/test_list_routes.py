"""The list routes: the same rows as the page by the same grammar, whole files, honest refusals; and a description of every route."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import pytest
from sqlalchemy import Engine, text
from starlette.routing import Route
from starlette.testclient import TestClient

from dashboard.app import app
from dashboard.browse.address import GRAMMAR
from dashboard.routes import openapi
from dashboard.routes.table import ENDPOINTS
from db import edits, listing
from db.records import import_record
from engine.export.experiments import COLUMNS as EXPORTED
from engine.settings import REPOSITORY
from tests.records import build_record

COLUMNS = [c.name for c in EXPORTED]
LIST = "/api/v1/experiments"


@pytest.fixture
def five(db: Engine) -> list[str]:
    """Ids, oldest first; the second is archived, the third has a hostile title and a tag."""
    found = []
    for number in range(5):
        record = build_record({"base": {"ttft_seconds": [1.0]}}, title=f"e{number}" if number != 2 else '=1+1, "two"', experiment_id=f"id-{number}")
        record["experiment"]["created_at"] = f"2026-01-0{number + 1}T12:00:00Z"
        found.append(import_record(db, record, "imported"))
    edits.change(db, [found[1]], {"archived": True})
    edits.add_tags(db, [found[2]], ["to look at", "int8"])
    return found


def rows(answer: Any) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


def test_json_comes_page_by_page_and_the_pages_are_all(five: list[str], client: TestClient) -> None:
    seen: list[dict[str, Any]] = []
    at: str | None = f"{LIST}.json?archived=all&size=2&sort=created"
    while at:
        answer = client.get(at.removeprefix("http://127.0.0.1:8501")).json()
        assert (answer["total"], answer["pages"], answer["size"]) == (5, 3, 2)
        seen += answer["experiments"]
        at = answer["next"]
    assert [e["experiment_id"] for e in seen] == five
    assert list(seen[2]) == COLUMNS
    assert seen[2] | {"title": ""} == {
        "experiment_id": "id-2", "title": "", "status": "finished", "model": "smollm2-135m", "workload": "generation", "device": "cpu:test-machine",
        "hardware": "a test machine", "techniques": [], "variants": 1, "runs": 1, "runs_queued": 0, "runs_running": 0, "runs_succeeded": 1,
        "runs_failed": 0, "runs_out_of_memory": 0, "runs_timed_out": 0, "runs_cancelled": 0, "runs_unsupported": 0, "tags": ["int8", "to look at"],
        "owner": None, "source": "imported", "archived": False, "created_at": "2026-01-03T12:00:00Z", "link": "http://127.0.0.1:8501/experiment?id=id-2",
    }  # fmt: skip


def test_csv_has_all_that_match_whatever_page_is_asked_for(five: list[str], client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "AT_ONCE", 2)
    answer = client.get(f"{LIST}.csv?size=1&page=3")
    assert answer.headers["content-disposition"] == 'attachment; filename="experiments.csv"'
    found = rows(answer)
    assert [r["experiment_id"] for r in found] == ["id-4", "id-3", "id-2", "id-0"] and list(found[0]) == COLUMNS
    assert found[2]["title"] == "'=1+1, \"two\"" and found[2]["tags"] == "int8; to look at"
    assert (found[0]["owner"], found[0]["archived"]) == ("", "false")


@pytest.mark.parametrize(("asked", "expected"), [
    ("q=e&id=id-0&id=id-3", ["id-3", "id-0"]), ("archived=yes", ["id-1"]), ("tag=int8", ["id-2"]), ("from=2026-01-04", ["id-4", "id-3"]),
    ("status=out_of_memory", []), ("device=a+test+machine&to=2026-01-01", ["id-0"]), ("sort=title&q=e", ["id-0", "id-3", "id-4"]),
])  # fmt: skip
def test_both_filter_by_the_grammar(five: list[str], client: TestClient, asked: str, expected: list[str]) -> None:
    answer = client.get(f"{LIST}.json?{asked}").json()
    assert [e["experiment_id"] for e in answer["experiments"]] == expected and answer["total"] == len(expected)
    assert [r["experiment_id"] for r in rows(client.get(f"{LIST}.csv?{asked}"))] == expected


@pytest.mark.parametrize(("asked", "field"), [
    ("status=asleep", "status"), ("modle=x", "modle"), ("page=0", "page"), ("size=100000", "size"), ("from=soon", "from"), ("sort=spec", "sort"),
    ("columns=id", "columns"), ("id=..%2F..", "id"), ("q=" + "x" * 500, "q"),
])  # fmt: skip
def test_what_cannot_be_is_400_and_named(five: list[str], client: TestClient, asked: str, field: str) -> None:
    for ending in ("json", "csv"):
        answer = client.get(f"{LIST}.{ending}?{asked}&archived=all")
        assert answer.status_code == 400
        assert answer.json()["field"] == field and answer.json()["error"].startswith(f"{field}: ")


def test_a_page_beyond_the_last_is_empty(five: list[str], client: TestClient) -> None:
    answer = client.get(f"{LIST}.json?page=9").json()
    assert (answer["experiments"], answer["total"], answer["next"]) == ([], 4, None)


def test_a_database_that_fails_is_503(five: list[str], db: Engine, client: TestClient) -> None:
    with db.begin() as connection:
        connection.execute(text("DROP TABLE experiment_tags"))
    for ending in ("json", "csv"):
        answer = client.get(f"{LIST}.{ending}")
        assert answer.status_code == 503 and "no such table: experiment_tags" in answer.json()["error"]


def test_every_route_that_is_served_is_described(client: TestClient) -> None:
    described = client.get(openapi.PATH).json()
    served = [route.path for route in app._user_routes if isinstance(route, Route)]
    assert set(described["paths"]) == set(served) == {e.path for e in ENDPOINTS}
    for path, item in described["paths"].items():
        operation = item["get"]
        assert operation["summary"].strip() and operation["responses"]["200"]["description"].strip(), path
        assert [p["name"] for p in operation["parameters"] if p["in"] == "path"] == re.findall(r"{(\w+)}", path)
        assert all(p["description"] for p in operation["parameters"])
    names = [p["name"] for p in described["paths"][f"{LIST}.csv"]["get"]["parameters"]]
    assert names == [p.name for p in GRAMMAR]
    assert len({item["get"]["operationId"] for item in described["paths"].values()}) == len(described["paths"])


def test_the_readme_names_every_route() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    assert [e.path for e in ENDPOINTS if f"`{e.path}`" not in readme] == []
