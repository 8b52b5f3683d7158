"""What runs leave beside their numbers, at a place that all machines reach."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from engine import artifacts, settings

SHA256 = "ab" * 32
DETAILS = {"profile": {"trace": {"sha256": SHA256, "size_bytes": 7}}}
NAME = f"traces/{SHA256}.json.gz"


@pytest.fixture
def common(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(MemoryFileSystem, "store", {})
    monkeypatch.setattr(MemoryFileSystem, "pseudo_dirs", [""])
    monkeypatch.setenv("LAB_ARTIFACTS", "memory://team/lab/")
    return "memory://team/lab/"


def written_by_a_run() -> None:
    path = settings.artifacts_dir() / NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(b"a trace")


def test_by_default_they_are_where_the_run_has_written_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert not artifacts.there(NAME)
    written_by_a_run()
    artifacts.publish(DETAILS)
    assert artifacts.there(NAME) and artifacts.read(NAME) == b"a trace" and capsys.readouterr().err == ""


def test_a_run_of_this_machine_is_copied_to_the_common_place(common: str) -> None:
    written_by_a_run()
    assert not artifacts.there(NAME)
    artifacts.publish(DETAILS)
    assert artifacts.read(NAME) == b"a trace"


def test_a_run_of_another_machine_too(common: str) -> None:
    artifacts.publish(DETAILS, b"from afar")
    assert artifacts.read(NAME) == b"from afar"


@pytest.mark.parametrize("details", [
    {}, {"profile": None}, {"profile": {"trace": {"absent": "too large"}}}, {"profile": {"trace": {"sha256": "../../etc/passwd"}}},
    {"profile": {"trace": {"sha256": 5}}}, DETAILS,
])  # fmt: skip
def test_what_was_not_kept_or_has_no_such_name_is_not_copied(common: str, details: dict[str, Any]) -> None:
    artifacts.publish(details)
    assert MemoryFileSystem.store == {}


@pytest.mark.parametrize("url", ["nosuch://x", "{file}/below"])
def test_a_place_that_cannot_be_written_is_said_and_ends_nothing(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("LAB_ARTIFACTS", url.format(file=tmp_path / "file"))
    artifacts.publish(DETAILS, b"a trace")
    assert f"artifacts: {NAME} could not be written to " in capsys.readouterr().err
    with pytest.raises(OSError):
        artifacts.read(NAME)


def test_a_place_that_does_not_answer_holds_nobody_up(common: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answers, asked, done = threading.Event(), threading.Event(), threading.Event()

    def slow(*_: Any, **__: Any) -> None:
        asked.set()
        answers.wait(60)
        done.set()

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", slow)
    artifacts.publish_soon(DETAILS, b"a trace")  # returns while it waits there
    assert asked.wait(60) and not done.is_set()
    answers.set()
    assert done.wait(60)


def test_a_place_is_shown_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_ARTIFACTS", "sftp://me:secret@host/lab")
    assert artifacts.place() == "sftp://host/lab"
