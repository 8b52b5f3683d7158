"""What is cleared is what comes back, and nothing else; live things stay."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from engine import caches, run_folders, settings
from tests.command_line import engine


@pytest.fixture
def lab(own_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Something in every cache, and results beside it."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    for variable in ("HF_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    outside = tmp_path / "outside"
    files = {
        own_data / "artifacts" / "onnx" / "old" / "model.onnx": 100_000, own_data / "artifacts" / "onnx" / "new" / "model.onnx": 50_000,
        own_data / "artifacts" / "key.npy": 30_000, own_data / "artifacts" / "traces" / "a.json.gz": 9_000, own_data / "wheels" / "a.whl": 8_000,
        tmp_path / "hf" / "hub" / "models--org--name" / "blobs" / "x": 200_000, tmp_path / "hf" / "token": 40, own_data / "lab.db": 5_000,
        own_data / "models" / "smollm2-135m" / "config.json": 10, outside / "kept": 1_000,
    }  # fmt: skip
    for age, (path, size) in enumerate(files.items()):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
        os.utime(path, (1_000_000 + age, 1_000_000 + age))
    (own_data / "artifacts" / "link").symlink_to(outside)
    return own_data


def sizes() -> dict[str, list[str]]:
    return {c.name: [e.name for e in c.entries] for c in caches.caches()}


def test_every_cache_is_measured_the_largest_first(lab: Path) -> None:
    assert sizes() == {"exports": ["onnx/old", "onnx/new", "key.npy"], "hub": ["models/org/name"], "wheels": ["a.whl"], "runs": []}
    exports = caches.caches()[0]
    assert 180_000 <= exports.size_bytes < 250_000, "as the disk counts them"


def test_what_is_cleared_is_gone_and_the_rest_stays(lab: Path, tmp_path: Path) -> None:
    before = caches.caches()[0].size_bytes
    assert caches.clear("exports") == before and caches.clear("exports") == 0
    assert sizes()["exports"] == [] and sizes()["hub"] == ["models/org/name"]
    assert caches.clear("hub", "models/org/name") >= 200_000
    for kept in (lab / "artifacts" / "traces" / "a.json.gz", lab / "lab.db", lab / "models" / "smollm2-135m" / "config.json",
                 tmp_path / "outside" / "kept", tmp_path / "hf" / "token"):  # fmt: skip
        assert kept.is_file()


@pytest.mark.parametrize(("name", "only", "message"), [
    ("results", None, "cache: 'results' is none; choose from exports, hub, wheels, runs"),
    ("hub", "../../outside", "cache: hub has no '../../outside'"),
])  # fmt: skip
def test_nothing_else_can_be_cleared(lab: Path, name: str, only: str | None, message: str) -> None:
    before = sizes()
    with pytest.raises(ValueError, match=message):
        caches.clear(name, only)
    assert sizes() == before


def test_the_folder_of_a_run_that_goes_on_stays(lab: Path) -> None:
    live = run_folders.make(settings.runs_dir() / "1.1")
    os.close(run_folders.make(settings.runs_dir() / "2.1"))
    caches.clear("runs")
    assert [p.name for p in settings.runs_dir().iterdir()] == ["1.1"]
    os.close(live)


def test_the_oldest_exports_make_room_and_no_more_than_needed(lab: Path) -> None:
    assert caches.keep_within(10**9) == 0 and len(sizes()["exports"]) == 3
    assert caches.keep_within(100_000) >= 100_000
    assert sizes()["exports"] == ["onnx/new", "key.npy"] and sizes()["hub"] == ["models/org/name"], "the hub's cache has no limit of ours"
    assert caches.keep_within(0) > 0 and sizes()["exports"] == []


@pytest.mark.parametrize(("text", "size"), [("", 20 * 10**9), ("500MB", 500 * 10**6), ("1 tb", 10**12)])
def test_the_limit(text: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_CACHE_LIMIT", text)
    assert settings.cache_limit() == size


@pytest.mark.parametrize("text", ["20", "GB", "-1GB", "1.5GB", "much"])
def test_a_limit_that_is_none(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_CACHE_LIMIT", text)
    with pytest.raises(ValueError, match="^LAB_CACHE_LIMIT: .* is no size; write 20GB or 500MB"):
        settings.cache_limit()


def test_the_command_says_and_clears(lab: Path) -> None:
    assert "exports" in engine("clean").stdout and sizes()["exports"]
    rows = {row["name"]: row for row in json.loads(engine("clean", "exports", "--json").stdout)}
    assert rows["exports"]["freed_bytes"] == rows["exports"]["bytes"] > 0 == rows["hub"]["freed_bytes"]
    assert not sizes()["exports"] and sizes()["hub"]
    refused = engine("clean", "hub", "everything")
    assert refused.returncode == 2 and "'everything' is none" in refused.stderr and sizes()["hub"], "nothing is cleared where a word is wrong"
