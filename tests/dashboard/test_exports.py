"""The files behind the buttons and addresses: as many rows as the button says, and of a snapshot what was frozen."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Engine, text
from starlette.testclient import TestClient

from dashboard import exports, frozen
from dashboard.report.formats import FORMATS
from db import queries, queue
from engine.analysis import rows
from engine.export.package import count_rows
from engine.snapshot import Snapshot, freeze, thaw

LINK = "http://127.0.0.1:8501/experiment?id="
TABLES = [name for name, chosen in FORMATS.items() if chosen.row != "file" and name != "json"]


def frozen_copy(db: Engine, experiment: str) -> Snapshot:
    record = queries.record(db, experiment, samples="all")
    assert record is not None
    return thaw(freeze("kept", "experiment", {}, None, [(record, rows(record))]))


@pytest.mark.parametrize("held", [False, True])
def test_the_count_on_the_button_is_the_count_in_the_file(db: Engine, experiment: str, held: bool) -> None:
    snapshot = frozen_copy(db, experiment)

    def check() -> None:
        counts = exports.counts([experiment])
        for name in TABLES:
            file = exports.maker(FORMATS[name], [experiment], None)()
            assert count_rows(name, file) == counts[FORMATS[name].row] > 0, name
        assert len(json.loads(exports.maker(FORMATS["json"], [experiment], None)())) == counts["result"]

    if held:
        queue.delete_experiment(db, experiment)
        with frozen.showing(snapshot):
            check()
    else:
        check()


def test_a_file_of_a_frozen_page_is_made_elsewhere_and_still_frozen(db: Engine, experiment: str) -> None:
    with frozen.showing(frozen_copy(db, experiment)):
        make = exports.maker(FORMATS["csv"], [experiment], None)
    queue.delete_experiment(db, experiment)
    assert b"small" in make(), "the click comes when the page was drawn long ago, on another thread"


def test_the_zip_holds_everything_with_a_manifest_that_fits(db: Engine, experiment: str) -> None:
    archive = zipfile.ZipFile(io.BytesIO(exports.maker(FORMATS["zip"], [experiment], None)()))
    manifest = json.loads(archive.read("manifest.json"))
    names = {"report.html", "report.md", "results.csv", "variants.csv", "samples.csv", "results.parquet", f"{experiment}.bundle.json"}
    assert set(archive.namelist()) == names | {"manifest.json"} and {f["name"] for f in manifest["files"]} == names
    assert archive.testzip() is None
    for file in manifest["files"]:
        data = archive.read(file["name"])
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (file["sha256"], file["bytes"])
    counted = {f["name"]: f["rows"] for f in manifest["files"]}
    assert counted["results.csv"] == counted["results.parquet"] == len(list(csv.DictReader(io.StringIO(archive.read("results.csv").decode()))))
    assert manifest["experiments"] == [
        {"id": experiment, "title": "An experiment", "created_at": "2026-01-02T03:04:05Z", "link": LINK + experiment},
    ]  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_every_file_has_an_address(db: Engine, experiment: str, client: TestClient, name: str) -> None:
    chosen = FORMATS[name]
    answer = client.get(f"/api/v1/experiments/{experiment}.{chosen.ending}")
    assert answer.status_code == 200 and answer.headers["content-type"] == chosen.media_type
    assert answer.headers["content-disposition"].endswith(f'Z.{chosen.ending}"') and answer.headers["cache-control"] == "no-store"
    same: Any = exports.maker(chosen, [experiment], None)()
    if name == "zip":  # has its moment inside
        assert zipfile.ZipFile(io.BytesIO(answer.content)).testzip() is None
    else:
        assert len(answer.content) == len(same)


def test_parquet_is_read_by_pandas(db: Engine, experiment: str, client: TestClient) -> None:
    found = pd.read_parquet(io.BytesIO(client.get(f"/api/v1/experiments/{experiment}.parquet").content))
    assert len(found) == 19 and set(found["link"]) == {LINK + experiment}


def test_the_point_of_the_page_can_be_asked_for(db: Engine, experiment: str, client: TestClient) -> None:
    point = "batch=4, prompt_tokens=128, new_tokens=64"
    first, other = (client.get(f"/api/v1/experiments/{experiment}.variants.csv", params=p).text for p in ({}, {"point": point}))
    values = [[r["decode_tokens_per_second"] for r in csv.DictReader(io.StringIO(file))] for file in (first, other)]
    assert values == [["30.0", "60.0", ""], ["90.0", "", ""]], "the point that did not fit is empty, and its row is there"


def test_what_cannot_be_written_is_said_before_the_answer_begins(db: Engine, experiment: str, client: TestClient) -> None:
    with db.begin() as connection:
        connection.execute(text("UPDATE measurements SET metric = 'of_another_version'"))
    answer = client.get(f"/api/v1/experiments/{experiment}.csv")
    assert answer.status_code == 503 and "of_another_version" in answer.json()["error"]
    assert client.get(f"/api/v1/experiments/{experiment}.samples.csv").text.count("of_another_version") > 100, "samples need no knowledge of it"


def test_a_file_of_what_is_gone_is_empty(db: Engine, experiment: str) -> None:
    make = exports.maker(FORMATS["csv"], [experiment], None)
    queue.delete_experiment(db, experiment)
    assert make() == b""
