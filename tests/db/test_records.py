"""Records travel between databases unchanged, and a broken one leaves nothing behind."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from db import listing, queries, queue, records
from db.filter import Filter
from db.session import connect, migrate
from tests.db.conftest import CPU, end, enqueue


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Engine]:
    db = connect(f"sqlite:///{tmp_path / 'other.db'}")
    migrate(db)
    yield db
    db.dispose()


@pytest.fixture
def record(other: Engine) -> dict[str, Any]:
    """A measured experiment, through a file; one of its runs is still queued."""
    experiment = enqueue(other, runs=3)
    for _ in range(2):
        claimed = queue.claim(other, "me", CPU)
        assert claimed is not None and end(other, claimed)
    return dict(json.loads(json.dumps(queries.record(other, experiment, samples="all"))))


def test_an_imported_record_is_the_same_but_for_what_had_not_ended(db: Engine, record: dict[str, Any]) -> None:
    experiment = records.import_record(db, record, "imported")
    there = queries.record(db, experiment, samples="all")
    assert there is not None
    assert there["experiment"] == record["experiment"] | {"source": "imported"}
    assert (there["variants"], there["environments"]) == (record["variants"], record["environments"])
    without_ids = [{k: v for k, v in r.items() if k != "id"} for r in there["runs"]]
    assert without_ids == [{k: v for k, v in r.items() if k != "id"} for r in record["runs"][:2]]
    assert queue.claim(db, "me", CPU) is None


def test_importing_twice_changes_nothing_and_another_content_is_refused(db: Engine, record: dict[str, Any]) -> None:
    experiment = records.import_record(db, record, "imported")
    assert records.import_record(db, copy.deepcopy(record), "imported") == experiment
    assert len(listing.experiments(db, Filter())) == 1
    record["runs"][0]["measurements"][0]["value"] = 0.1
    with pytest.raises(ValueError, match="with other content is there already; delete it first"):
        records.import_record(db, record, "imported")


def test_a_changed_reference_takes_the_place_of_the_stored_one_and_of_nothing_else(db: Engine, record: dict[str, Any]) -> None:
    experiment = records.import_record(db, copy.deepcopy(record), "reference")
    record["runs"].pop(0)
    record["runs"][0]["measurements"][0]["value"] = 0.1
    assert records.import_record(db, record, "reference") == experiment
    there = queries.record(db, experiment)
    assert there is not None and there["experiment"]["source"] == "reference"
    assert [r["measurements"][0]["value"] for r in there["runs"]] == [0.1]
    record["runs"][0]["measurements"][0]["value"] = 0.2
    with pytest.raises(ValueError, match="with other content is there already; delete it first"):
        records.import_record(db, record, "imported")


def test_a_spoilt_reference_leaves_the_stored_one(db: Engine, record: dict[str, Any]) -> None:
    experiment = records.import_record(db, copy.deepcopy(record), "reference")
    record["runs"][1]["measurements"][0]["value"] = "fast"
    with pytest.raises(ValueError, match="bundle:"):
        records.import_record(db, record, "reference")
    there = queries.record(db, experiment)
    assert there is not None and len(there["runs"]) == 2


@pytest.mark.parametrize("spoil", [
    lambda r: r["experiment"].pop("title"),
    lambda r: r["runs"][1].pop("status"),
    lambda r: r["runs"][1]["measurements"][0].pop("samples"),
    lambda r: r["runs"][1].update(variant=7),
    lambda r: r["runs"][1]["measurements"][0].update(value="fast"),
    lambda r: r["runs"][1]["measurements"][0].update(samples=[float("nan")]),
    lambda r: r["experiment"].update(title=None),
    lambda r: r.update(environments=[1]),
])  # fmt: skip
@pytest.mark.case("T37")
def test_a_spoilt_record_is_refused_whole(db: Engine, record: dict[str, Any], spoil: Any) -> None:
    spoil(record)
    with pytest.raises(ValueError, match="bundle:"):
        records.import_record(db, record, "imported")
    assert queries.count_experiments(db) == 0
