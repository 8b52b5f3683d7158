"""The HTTP routes: the same rows as the page, and an honest status."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
from sqlalchemy import Engine
from starlette.testclient import TestClient

from db import liveness


def test_health(db: Engine, experiment: str, client: TestClient) -> None:
    dead = {"status": "ok", "schedulers": 0, "experiments": 1, "problem": "no scheduler is alive, so nothing that is queued is run"}
    assert client.get("/api/v1/health").json() == dead
    liveness.announce(db, "alive", machine="here", pid=1, devices=[], availability={})
    assert client.get("/api/v1/health").json() == dead | {"schedulers": 1, "problem": None}
    with db.begin() as connection:  # it was killed a minute ago
        connection.exec_driver_sql("UPDATE schedulers SET seen_at = datetime('now', '-60 seconds')")
    assert client.get("/api/v1/health").json() == dead


def test_health_of_a_database_that_is_gone(own_data: Path, db: Engine, experiment: str, client: TestClient) -> None:
    assert client.get("/api/v1/health").status_code == 200
    for file in own_data.glob("lab.db*"):  # whoever has it open could go on reading it
        file.unlink()
    answer = client.get("/api/v1/health")
    assert answer.status_code == 503 and answer.json()["status"] == "error" and "the database file is gone" in answer.json()["reason"]


def test_health_of_a_broken_database(own_data: Path, client: TestClient) -> None:
    own_data.mkdir(parents=True)
    (own_data / "lab.db").write_text("not a database " * 500)
    answer = client.get("/api/v1/health")
    assert answer.status_code == 503 and "file is not a database" in answer.json()["reason"]


def test_csv_and_json_hold_the_same_rows(db: Engine, experiment: str, client: TestClient) -> None:
    answer = client.get(f"/api/v1/experiments/{experiment}.csv")
    assert re.fullmatch(rf'attachment; filename="experiment_{experiment}_\d{{8}}T\d{{4}}Z.csv"', answer.headers["content-disposition"])
    rows = list(csv.DictReader(io.StringIO(answer.text.lstrip("\ufeff"))))
    data = client.get(f"/api/v1/experiments/{experiment}.json").json()
    assert [(r["variant"], r["metric"], r["verdict"]) for r in rows] == [(d["variant"], d["metric"], d["verdict"]) for d in data]
    assert {r["link"] for r in rows} == {f"http://127.0.0.1:8501/experiment?id={experiment}"}


@pytest.mark.parametrize("wanted", ["nothing", "..%2F..%2Fetc%2Fpasswd", "%00", "a" * 5000])
@pytest.mark.case("T40")
def test_what_is_not_there_is_404(db: Engine, client: TestClient, wanted: str) -> None:
    assert client.get(f"/api/v1/experiments/{wanted}.csv").status_code == 404
