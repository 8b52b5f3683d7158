"""All variants that match as one CSV: by the same grammar as lists, as many rows as its button says."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine
from starlette.testclient import TestClient

from db import listing
from db.filter import Filter
from db.records import import_record
from tests.dashboard.conftest import classified, finished

PATH = "/api/v1/variants.csv"


@pytest.fixture
def two(db: Engine) -> list[str]:
    return [import_record(db, finished(), "imported"), import_record(db, classified(), "imported")]


def rows(answer: Any) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


def test_every_variant_of_what_matches(two: list[str], db: Engine, client: TestClient) -> None:
    found = rows(client.get(PATH))
    assert len(found) == 5 == listing.count_variants(db, Filter())
    assert [r["variant"] for r in rows(client.get(PATH, params={"q": "classifier"}))] == ["fp32", "int8"]
    lost = next(r for r in found if r["variant"] == "huge")
    assert (lost["status"], lost["reason"], lost["decode_tokens_per_second"]) == ("failed", "signal 11", "")
    assert rows(client.get(PATH, params={"id": "gone"})) == []


def test_what_came_later_is_left_out(two: list[str], client: TestClient) -> None:
    assert rows(client.get(PATH, params={"until": "2020-01-01T00:00:00Z"})) == []
    assert len(rows(client.get(PATH, params={"until": "2999-01-01T00:00:00Z"}))) == 5


@pytest.mark.parametrize(("params", "field"), [({"until": "yesterday"}, "until"), ({"modle": "x"}, "modle"), ({"status": "fine"}, "status")])
def test_what_cannot_be_is_refused_by_name(two: list[str], client: TestClient, params: dict[str, str], field: str) -> None:
    answer = client.get(PATH, params=params)
    assert answer.status_code == 400 and answer.json()["field"] == field


def test_the_button_says_how_many_and_its_link_gives_as_many(two: list[str], db: Engine, open_page: Callable[..., Any], client: TestClient) -> None:
    page = open_page("experiments", q="classifier")
    page.session_state["browse_files"] = True
    page.run()
    (button,) = [b for b in page.get("link_button") if "Variants" in b.proto.label]
    assert button.proto.label == "Variants (CSV) · 2 variants"
    path = button.proto.url.removeprefix("http://127.0.0.1:8501")
    import_record(db, finished("Another classifier", "came-later-experiment"), "imported")
    assert path.startswith(f"{PATH}?q=classifier&until=") and len(rows(client.get(path))) == 2
