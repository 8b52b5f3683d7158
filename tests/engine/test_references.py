"""The project's own results: a changed one takes the old one's place, a broken one is left out and named, a user's record stays."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from db import listing, queries, records
from db.filter import Filter
from engine import references
from engine.bundle import save_bundle
from engine.prepare import main
from tests.records import build_record

OLD = build_record({"a": {"ttft_seconds": [1.0]}})
NEW = build_record({"a": {"ttft_seconds": [9.0]}, "b": {"ttft_seconds": [2.0]}})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In place of ours; holds OLD, and before it in the alphabet a file that is no bundle."""
    folder = tmp_path / "reference"
    folder.mkdir()
    (folder / "a-broken.json").write_text("{")
    save_bundle(copy.deepcopy(OLD), folder / "b.json")
    monkeypatch.setattr(references, "FOLDER", folder)
    return folder


def stored(db: Engine) -> dict[str, Any]:
    record = queries.record(db, OLD["experiment"]["id"], samples="all")
    assert record is not None
    return record


def values(record: dict[str, Any]) -> list[float]:
    return [run["measurements"][0]["value"] for run in record["runs"]]


def test_a_changed_result_takes_the_place_of_the_old_one(db: Engine, folder: Path) -> None:
    references.import_references(db)
    assert values(stored(db)) == [1.0]
    save_bundle(copy.deepcopy(NEW), folder / "b.json")
    problems = references.import_references(db)
    assert [p.split(":")[0] for p in problems] == ["a-broken.json"]
    assert values(stored(db)) == [9.0, 2.0] and stored(db)["experiment"]["source"] == "reference"
    assert len(listing.experiments(db, Filter())) == 1


@pytest.mark.parametrize("source", ["local", "imported"])
def test_a_users_own_record_is_never_replaced(db: Engine, folder: Path, source: str) -> None:
    records.import_record(db, copy.deepcopy(NEW), source)
    problems = references.import_references(db)
    assert any(p.startswith("b.json: bundle: an experiment") for p in problems)
    assert values(stored(db)) == [9.0, 2.0] and stored(db)["experiment"]["source"] == source


def test_a_users_bundle_does_not_replace_a_reference(db: Engine, folder: Path) -> None:
    references.import_references(db)
    with pytest.raises(ValueError, match="delete it first"):
        records.import_record(db, copy.deepcopy(NEW), "imported")
    assert values(stored(db)) == [1.0]


def test_a_broken_result_does_not_stop_the_start(folder: Path, bundled: Path, db: Engine, capfd: pytest.CaptureFixture[str]) -> None:
    assert main() == 0
    assert f"reference results left out: a-broken.json: bundle: {folder / 'a-broken.json'} is not JSON" in capfd.readouterr().err
    assert values(stored(db)) == [1.0]
    assert set(listing.experiments(db, Filter())["source"]) == {"local", "reference"}
