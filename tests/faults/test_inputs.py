"""What people type, name and bring along: refused by name, or stored and read back as it was; nothing that it contains is executed."""

from __future__ import annotations

import csv
import io
import math
import socket
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import StatementError

from db import listing, queries, queue, records
from db.filter import Filter
from engine import edits
from engine.bundle import load_bundle, save_bundle
from engine.export.files import Source, content
from engine.modelspec import ModelSpec
from engine.specs import ExperimentSpec
from tests.db.conftest import CPU, end, enqueue, rows
from tests.records import build_record

COMMIT = "0" * 40
# ruff: noqa: RUF001  letters that look like others are the point
HOSTILE_IDS = [
    "/etc", "../x", "a/b/c", "C:\\x", "file:///etc/passwd", "http://169.254.169.254/latest", "gpt2\n", "a\0b", "x" * 97, "a--b",
    "a\u202eb", "ｇｐｔ２", "", ".", "..", "a/../b", "~", "-rf", "a b", "a;b", "$(id)", "é", "a/", "/a", "org//name", "models--a",
]  # fmt: skip
ONE_FOLDER = [("local", "a--b"), ("local", "models--a")]
"""Odd, but the name of one folder below the root."""


@pytest.mark.case("T29")
@pytest.mark.parametrize(("source", "name"), [(s, n) for s in ("hub", "local") for n in HOSTILE_IDS if (s, n) not in ONE_FOLDER])
def test_hostile_model_ids_are_refused_by_name_and_nothing_is_asked(source: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", connect)
    text = f"hub:{name}@{COMMIT}" if source == "hub" else f"local:{name}"
    with pytest.raises(ValueError, match=r"model: |is not a model name|is not a hub id"):
        ExperimentSpec.model_validate({"title": "t", "model": text})
    with pytest.raises(ValueError, match=r"is not a model name|is not a hub id"):
        ModelSpec.model_validate({"source": source, "name": name, "revision": COMMIT if source == "hub" else None})


@pytest.mark.case("T42")
@pytest.mark.parametrize("given", [
    {"rounds": -1}, {"rounds": 1.5}, {"rounds": 10**9}, {"timeout_seconds": math.nan}, {"timeout_seconds": "1e999"}, {"seed": 2**63},
    *({"workload": {"options": {"batch_sizes": [value]}}} for value in (0, -1, 10**9, math.nan, math.inf, "1e999", 1.5)),
    {"workload": {"options": {"batch_sizes": list(range(1, 10_002))}}}, {"grid": [["float16"] * 101, ["bfloat16"] * 100]},
])  # fmt: skip
def test_parameters_beyond_all_bounds_are_refused_by_name(given: dict[str, Any]) -> None:
    field = "batch_sizes" if "workload" in given else next(iter(given))
    with pytest.raises(ValueError, match=field):
        ExperimentSpec.model_validate({"title": "t", "model": "smollm2-135m"} | given)


NUMBERS = [-0.0, 2.0**31, 2.0**63, 5e-324, 1.7976931348623157e308]


@pytest.mark.case("T37")
def test_numbers_are_read_back_as_they_were_or_refused(db: Engine) -> None:
    for value in (math.nan, math.inf, -math.inf):
        for field in ("value", "samples", "warmups", "point"):
            enqueue(db)
            claim = queue.claim(db, "me", CPU)
            assert claim is not None
            measured = {"metric": "m", "point": {}, "status": "succeeded", "reason": None, "value": 1.0, "samples": [1.0], "warmups": []}
            measured[field] = {"value": value, "point": {"x": value}}.get(field, [value])
            with pytest.raises((ValueError, StatementError), match=r"not a finite number|not JSON compliant"):
                end(db, claim, measurements=[measured])
            assert end(db, claim, status="failed", measurements=[])
    for value in NUMBERS:
        enqueue(db)
        claim = queue.claim(db, "me", CPU)
        measured = {"metric": "m", "point": {"x": value}, "status": "succeeded", "reason": None, "value": value, "samples": [value], "warmups": [value]}
        assert claim is not None and end(db, claim, measurements=[measured], host_peak_bytes=2**62)
        record = queries.record(db, claim.experiment_id, samples="all")
        assert record is not None
        (run,) = record["runs"]
        (stored,) = run["measurements"]
        for found in (stored["value"], stored["samples"][0], stored["warmups"][0], stored["point"]["x"]):
            assert found == value  # SQLite takes the sign from zero
        assert run["host_peak_bytes"] == 2**62


@pytest.mark.case("T37")
def test_ten_megabytes_of_text_and_a_sort_key_that_is_sql(db: Engine) -> None:
    enqueue(db)
    claim = queue.claim(db, "me", CPU)
    long = "ä😀\u202e" * 1_200_000
    assert claim is not None and end(db, claim, log_tail=long)
    assert rows(db)[0].log_tail == long
    with pytest.raises((KeyError, ValueError), match="id; DROP"):
        listing.experiments(db, Filter(sort="id; DROP TABLE runs"))
    assert len(rows(db)) == 1


NAMES = [
    "مرحبا بالعالم", "שלום \u202eabc", "👩‍👩‍👧‍👦 🏳️‍🌈", "x" * 200, "ü" * 200, "a\u200bb\ufeffc", "ｆｕｌｌ", "e\u0301tude", "\u00e9tude",
    "../../etc/passwd", "CON", "=1+1", "a,b;\"c'", "<b>x</b>",
]  # fmt: skip


@pytest.mark.case("T45")
def test_names_of_all_scripts_survive_rename_export_and_import(db: Engine, tmp_path: Path) -> None:
    record = build_record({name: {"ttft_seconds": [1.0]} for name in NAMES if len(name) <= 120}, title="t")
    first = records.import_record(db, record, "imported")
    for name in NAMES:
        edits.rename(db, first, name)
        stored = queries.record(db, first, samples="all")
        assert stored is not None and stored["experiment"]["title"] == name
    assert [v["name"] for v in stored["variants"]] == [name for name in NAMES if len(name) <= 120]
    assert unicodedata.normalize("NFC", NAMES[7]) == NAMES[8], "two that look the same are two titles"
    save_bundle(stored, tmp_path / "b.json")
    assert queue.delete_experiment(db, first)
    assert records.import_record(db, load_bundle(tmp_path / "b.json"), "imported") == first
    table = content("csv", Source(stored)).decode()
    again = queries.record(db, first, samples="all")
    assert again is not None
    for run in (*stored["runs"], *again["runs"]):
        del run["id"]
    assert again == stored
    written = {row["variant"].removeprefix("'") for row in csv.DictReader(io.StringIO(table))}
    assert written == {name for name in NAMES if len(name) <= 120}
