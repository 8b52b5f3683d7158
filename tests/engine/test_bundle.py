"""A bundle that is not whole is refused with the name of the field, before anything of it is stored."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from engine.bundle import load_bundle, save_bundle
from engine.settings import REPOSITORY
from tests.records import build_record

WHOLE = build_record({"a": {"ttft_seconds": [1.0, 1.1]}, "b": {"ttft_seconds": [2.0, 2.1]}}, quality={"a": {}, "b": {}})


@pytest.fixture
def record() -> dict[str, Any]:
    return copy.deepcopy(WHOLE)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bundle.json"


def test_a_whole_bundle_is_read_as_it_was_written(record: dict[str, Any], path: Path) -> None:
    save_bundle(record, path)
    assert load_bundle(path) == record


@pytest.mark.parametrize("reference", sorted((REPOSITORY / "experiments" / "reference").glob("*.json")), ids=lambda p: p.stem)
def test_our_own_results_are_whole(reference: Path) -> None:
    read, written = load_bundle(reference), json.loads(reference.read_text())
    spec, asked = read["experiment"].pop("spec"), written["experiment"].pop("spec")
    assert read == written
    assert spec == spec | asked, "completed with what later versions can be asked, nothing changed"


@pytest.mark.parametrize(("spoil", "message"), [
    (lambda r: r["experiment"]["spec"].pop("model"), "experiment.spec: this version cannot read it: model: Field required"),
    (lambda r: r["experiment"]["spec"]["variants"][1].update(stack=["mp3"]), "experiment.spec: .* unknown technique 'mp3'"),
    (lambda r: r["experiment"]["spec"].update(workload={"name": "dance"}), "experiment.spec: .* unknown workload 'dance'"),
    (lambda r: r["experiment"].update(spec=[]), "experiment.spec: Input should be an object"),
    (lambda r: r["experiment"].update(id="../../x"), "experiment.id: "),
    (lambda r: r["experiment"].update(created_at="yesterday"), "experiment.created_at: 'yesterday' is not a time in UTC"),
    (lambda r: r["experiment"].update(created_at="2026-02-30T00:00:00Z"), "experiment.created_at: day is out of range"),
    (lambda r: r["variants"][0].update(baseline=False), r"variants: exactly one must be the baseline, 'a'; found \[\]"),
    (lambda r: r["variants"][1].update(baseline=True), r"variants: exactly one must be the baseline, 'a'; found \['a', 'b'\]"),
    (lambda r: r["variants"].pop(1), "variants: they are not those of experiment.spec: a, b"),
    (lambda r: r["variants"][1].update(stack=[{"technique": "bfloat16", "options": {}}]), "variants: they are not those of experiment.spec"),
    (lambda r: r["runs"][2].update(kind="looks"), "runs.2.kind: Input should be 'speed', 'quality' or 'profile'"),
    (lambda r: r["runs"][2].update(status="fine"), "runs.2.status: Input should be 'queued'"),
    (lambda r: r["runs"][2].update(variant=2), "runs.2.variant: there is no variant 2, the last one is 1"),
    (lambda r: r["runs"][2].update(variant=-1), "runs.2.variant: Input should be greater than or equal to 0"),
    (lambda r: r["runs"][2].update(variant="1"), "runs.2.variant: Input should be a valid integer"),
    (lambda r: r["runs"][2].update(round=2), "runs.2.round: there is no round 2, the last one is 1"),
    (lambda r: r["runs"][2].update(environment="gone"), "runs.2.environment: 'gone' is not in environments"),
    (lambda r: r["runs"][2].pop("environment"), "runs.2.environment: Field required"),
    (lambda r: r["runs"][2].update(seconds=float("nan")), "is not JSON"),
    (lambda r: r["runs"][0]["measurements"][0].update(value="fast"), "runs.0.measurements.0.value: "),
    (lambda r: r["runs"][0]["measurements"][0].update(status="fine"), "runs.0.measurements.0.status: "),
    (lambda r: r.update(environments=[1]), "environments: "),
    (lambda r: r["runs"].append("a run"), "runs.6: "),
])  # fmt: skip
def test_what_is_wrong_is_named(record: dict[str, Any], path: Path, spoil: Any, message: str) -> None:
    spoil(record)
    path.write_text(json.dumps(record))
    with pytest.raises(ValueError, match=f"^bundle: .*{message}"):
        load_bundle(path)


def test_a_number_beyond_all_bounds_is_refused(record: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(record).replace('"seconds": 10.0', '"seconds": 1e999', 1))
    with pytest.raises(ValueError, match="runs.0.seconds: "):
        load_bundle(path)


def test_a_thousand_faults_are_still_one_readable_line(record: dict[str, Any], path: Path) -> None:
    record["runs"] = [run | {"status": "fine"} for run in record["runs"] * 300]
    path.write_text(json.dumps(record))
    with pytest.raises(ValueError) as refused:
        load_bundle(path)
    assert len(str(refused.value)) < 1_500


def test_what_an_older_version_did_not_write_is_filled_in(record: dict[str, Any], path: Path) -> None:
    del record["experiment"]["spec"]["seed"]
    record["experiment"]["spec"]["model"] = "smollm2-135m"  # as people write it
    path.write_text(json.dumps(record))
    assert load_bundle(path) == WHOLE


@pytest.mark.parametrize(("content", "message"), [
    ("{", "is not JSON"), ("{}", "has format None"), ('{"format": "llm-tradeoff-lab/1"}', "has no 'experiment'"), ("[" * 100_000, "is not JSON"),
])  # fmt: skip
def test_other_files_are_refused(content: str, message: str, path: Path) -> None:
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        load_bundle(path)


@pytest.mark.parametrize("place", ["no-such-folder/out.json", "a-folder"])
def test_a_file_that_cannot_be_written_is_the_users_to_mend(record: dict[str, Any], tmp_path: Path, place: str) -> None:
    (tmp_path / "a-folder").mkdir()
    with pytest.raises(ValueError, match="^--bundle: .* cannot be written"):
        save_bundle(record, tmp_path / place)
    assert [p.name for p in tmp_path.iterdir()] == ["a-folder"]


@pytest.mark.parametrize(("spoil", "message"), [
    (lambda r: r["runs"][0].update(attempt=2**31), "runs.0.attempt: Input should be less than or equal to 2147483647"),
    (lambda r: r["runs"][0].update(host_peak_bytes=2**63), "runs.0.host_peak_bytes: "),
    (lambda r: r["runs"][0].update(log_tail="x" * 100_001), "runs.0.log_tail: String should have at most 100000 characters"),
    (lambda r: r["runs"][0].update(reason="x" * 20_001), "runs.0.reason: String should have at most 20000 characters"),
    (lambda r: r.update(format="x" * 5_000), "has format 'x{79}; this version reads"),
    (lambda r: r.update(runs=r["runs"] * 500), "runs: List should have at most 2000 items"),
    (lambda r: r["runs"][0]["measurements"][0].update(point={str(i): i for i in range(41)}), "runs.0.measurements.0.point: Dictionary should have at most 40"),
    (lambda r: r["runs"][0].update(details={"a": json.loads("[" * 60 + "]" * 60)}), "is nested more than 40 deep"),
])  # fmt: skip
def test_there_are_limits(record: dict[str, Any], path: Path, spoil: Any, message: str) -> None:
    spoil(record)
    path.write_text(json.dumps(record))
    with pytest.raises(ValueError, match=f"^bundle: .*{message}"):
        load_bundle(path)


def test_a_file_of_gigabytes_is_not_read(path: Path) -> None:
    with path.open("wb") as f:
        f.truncate(5 * 2**30)  # it takes no disk
    with pytest.raises(ValueError, match="has 5120 MiB; 256 MiB are read at most"):
        load_bundle(path)
