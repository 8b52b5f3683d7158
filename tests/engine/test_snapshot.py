"""Freezing: everything comes back as it was, and whatever is changed afterwards is noticed."""

from __future__ import annotations

import hashlib
import json
import zlib
from typing import Any

import pytest

from engine import snapshot
from engine.analysis import rows
from engine.snapshot import TamperedError, freeze, thaw
from tests.records import build_record


def record() -> dict[str, Any]:
    found = build_record({"a": {"ttft_seconds": [1.0, 1.1, 1.2]}, "b": {"ttft_seconds": [0.5, 0.5, 0.6]}}, runs={("b", 0): {"status": "failed"}})
    for run in found["runs"]:
        run["log_tail"] = f"log of {run['id']}"
    return found


def frozen(**changes: Any) -> dict[str, Any]:
    """A row as the database holds it."""
    found = record()
    asked = {"name": "  a  name ", "page": "experiment", "params": {"id": "x"}, "owner": "ada"} | changes
    return freeze(**asked, found=[(found, rows(found))], frames={"list": [{"title": "t", "runs": 3}]})


def test_what_was_frozen_comes_back() -> None:
    found = thaw(row := frozen())
    assert (found.id, found.sha256, found.name, found.page, found.owner) == (row["id"], row["sha256"], "a name", "experiment", "ada")
    assert found.params == {"id": "x"} and found.frames == {"list": [{"title": "t", "runs": 3}]}
    assert row["variants"] == 2
    assert list(found.rows["test-experiment-000001"]) == rows(record())
    (kept,) = found.records.values()
    logs = {r["status"]: r["log_tail"] for r in kept["runs"]}
    assert logs["succeeded"] is None and logs["failed"].startswith("log of"), "a log is kept where it explains something"
    assert [r["measurements"] for r in kept["runs"]] == [r["measurements"] for r in record()["runs"]], "all samples"


def test_ids_are_made_from_the_content_and_cannot_be_guessed() -> None:
    first, second = frozen(), frozen()
    assert first["id"] != second["id"] and len(first["id"]) == 22


def test_verdicts_stay_as_they_were_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = build_record({"a": {"ttft_seconds": [1.0, 1.1, 1.2]}, "b": {"ttft_seconds": [0.5, 0.55, 0.6]}})
    row = freeze("n", "experiment", {}, None, [(found, rows(found))])
    monkeypatch.setattr("engine.verdicts.MIN_ROUNDS", 99)  # another version judges otherwise
    assert {r.verdict for r in rows(found) if r.variant == "b"} == {"too few rounds"}
    assert {r.verdict for r in thaw(row).rows["test-experiment-000001"] if r.variant == "b"} == {"better"}


def repacked(row: dict[str, Any], **changes: Any) -> dict[str, Any]:
    content = json.loads(zlib.decompress(row["document"]))
    text = json.dumps(content | changes, separators=(",", ":")).encode()
    return row | {"document": zlib.compress(text)}


@pytest.mark.parametrize("change", ["value", "cut off", "not packed", "id", "sha256", "bomb"])
def test_a_changed_document_is_refused(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    row = frozen()
    changed = {
        "value": lambda: repacked(row, rows={}),
        "cut off": lambda: row | {"document": row["document"][:-3]},
        "not packed": lambda: row | {"document": b"{}"},
        "id": lambda: row | {"id": frozen()["id"]},
        "sha256": lambda: row | {"sha256": "0" * 64},
        "bomb": lambda: row | {"document": zlib.compress(b" " * 2_000_000)},
    }
    monkeypatch.setattr(snapshot, "_MOST_BYTES", 1_000_000)
    assert thaw(row)
    with pytest.raises(TamperedError):
        thaw(changed[change]())


def test_whoever_writes_a_fitting_hash_cannot_make_the_link_fit() -> None:
    changed = repacked(frozen(), owner="eve")
    changed |= {"owner": "eve", "sha256": hashlib.sha256(zlib.decompress(changed["document"])).hexdigest()}
    with pytest.raises(TamperedError, match="not the one that its link names"):
        thaw(changed)


@pytest.mark.parametrize("column", ["name", "owner", "created_at", "page"])
def test_what_lists_show_is_checked_too(column: str) -> None:
    with pytest.raises(TamperedError, match=f"its {column.replace('created_at', 'date')} was changed"):
        thaw(frozen() | {column: "other"})


def test_another_format_is_named() -> None:
    text = json.dumps({"format": "llm-tradeoff-lab-snapshot/9"}).encode()
    digest = hashlib.sha256(text)
    with pytest.raises(ValueError, match="snapshot/9"):
        thaw({"id": snapshot._id_of(digest.digest()), "sha256": digest.hexdigest(), "document": zlib.compress(text)})
