"""What does not fit is refused before it is written; what ran out says no_disk, whoever noticed it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine import disk, hub_models
from engine.child_result import read_result
from engine.measurement import Status

COMMIT = "a" * 40


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A hub with one model; files: {name: bytes}. Whoever fetches anything fails."""
    hub_models.check_room.cache_clear()
    import huggingface_hub

    def fail(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("something was fetched")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", fail)

    def offers(files: dict[str, int] | Exception) -> None:
        def model_info(self: Any, name: str, **asked: Any) -> Any:
            assert (name, asked["revision"], asked["files_metadata"]) == ("org/name", COMMIT, True)
            if isinstance(files, Exception):
                raise files
            return SimpleNamespace(siblings=[SimpleNamespace(rfilename=n, size=s) for n, s in files.items()])

        monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)

    return offers


@pytest.mark.case("T17")
def test_a_model_larger_than_the_disk_is_refused_with_both_figures(hub: Any) -> None:
    hub({"model-00001-of-00002.safetensors": 6 * 10**15, "model-00002-of-00002.safetensors": 4 * 10**15, "config.json": 700, "pytorch_model.bin": 10**18})
    with pytest.raises(disk.NoDiskError, match=r"^no_disk: model: hub:org/name needs 10,000,000.0 GB and a reserve of 0.20 GB, .* has .* GB free; make room"):
        hub_models.check_room("org/name", COMMIT)


@pytest.mark.parametrize("files", [{"model.safetensors": 10, "config.json": 1}, {"pytorch_model.bin": 10**15}, OSError("no network")])
def test_what_fits_or_cannot_be_asked_goes_on(hub: Any, files: Any) -> None:
    hub(files)
    hub_models.check_room("org/name", COMMIT)


def test_what_is_in_the_cache_already_needs_no_room(hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = tmp_path / "model.safetensors"
    there.write_bytes(b"")
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda name, file, revision: str(there) if file == there.name else None)
    hub({"model.safetensors": 10**15})
    hub_models.check_room("org/name", COMMIT)


@pytest.mark.parametrize(("reason", "expected"), [
    ("NoDiskError: no_disk: model: hub:a/b needs 3.0 GB", "no_disk: model: hub:a/b needs 3.0 GB"),
    ("OSError: [Errno 28] No space left on device: 'x'", "no_disk: the disk was full while the run wrote; make room, then run it again (OSError: "),
    ("ValueError: something else", "ValueError: something else"),
])  # fmt: skip
def test_the_reason_of_a_run(tmp_path: Path, reason: str, expected: str) -> None:
    import json

    (tmp_path / "result.json").write_text(json.dumps({"status": "failed", "reason": reason}))
    result = read_result(tmp_path, 0, out_of_memory=False, host_peak_bytes=0, log_tail="")
    assert result.status is Status.FAILED and (result.reason or "").startswith(expected)


def test_a_child_that_could_not_even_write_its_result(tmp_path: Path) -> None:
    tail = "Traceback (most recent call last):\nOSError: [Errno 28] No space left on device: 'result.json.tmp'"
    result = read_result(tmp_path, 1, out_of_memory=False, host_peak_bytes=0, log_tail=tail)
    assert result.status is Status.FAILED and (result.reason or "").startswith("no_disk: the disk was full while the run wrote; make room")
