"""The list of files: each has what its name promises, and a name of its own."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from engine.bundle import load_bundle
from engine.export.files import FORMATS, Source, content, file_name
from tests.engine.export.records import record


def test_a_bundle_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "x.bundle.json").write_bytes(content("bundle", Source(record())))
    again = load_bundle(tmp_path / "x.bundle.json")
    assert again["runs"] == json.loads(json.dumps(record()["runs"])) and again["experiment"]["id"] == "test-experiment-000001"


@pytest.mark.case("T45")
def test_names_of_files_say_when_in_utc() -> None:
    at = datetime(2026, 11, 24, 1, 5, tzinfo=timezone(timedelta(hours=2)))
    assert file_name("experiment_abc", "samples.csv", at) == "experiment_abc_20261123T2305Z.samples.csv"
    before, name, after = datetime.now(UTC), file_name("a", "csv"), datetime.now(UTC)
    assert name in {f"a_{t:%Y%m%dT%H%MZ}.csv" for t in (before, after)}


def test_no_two_files_have_one_ending() -> None:
    assert len({f.ending for f in FORMATS.values()}) == len({f.label for f in FORMATS.values()}) == len(FORMATS)


def test_a_bundle_holds_one_experiment() -> None:
    with pytest.raises(ValueError, match="take the ZIP for several"):
        content("bundle", Source(record()), Source(record()))
