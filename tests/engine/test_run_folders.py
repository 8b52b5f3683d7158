"""The newest folders of runs stay, older ones go, and none goes whose run is live in whatever process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import run_folders
from engine.settings import REPOSITORY
from tests.engine.processes import CPU, local_executor, run_spec_for, wait_for

HOLD = """
import sys
from pathlib import Path
from engine.run_folders import make
make(Path(sys.argv[1]))
print("made", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(run_folders, "KEPT", 3)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "a file").write_text("not a folder")
    (tmp_path / "precious").mkdir()
    (tmp_path / "runs" / "a link").symlink_to(tmp_path / "precious")
    return tmp_path / "runs"


def make_old(folder: Path, age: int) -> None:
    os.utime(folder, (10**9 - age, 10**9 - age))


def ended(folder: Path, age: int) -> None:
    os.close(run_folders.make(folder))
    (folder / "log.txt").write_text("words")
    make_old(folder, age)


def names(runs: Path) -> set[str]:
    return {p.name for p in runs.iterdir() if p.is_dir() and not p.is_symlink()}


@pytest.fixture
def other(runs: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process with a live run in `theirs`, the oldest of all."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(runs / "theirs")], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None and process.stdout.readline() == "made\n"
        make_old(runs / "theirs", 1000)
        yield process


def test_the_newest_stay_and_other_things_are_not_touched(runs: Path) -> None:
    for age in (2, 9, 1, 7):
        ended(runs / f"of-age-{age}", age)
    ended(runs / "new", 0)
    assert names(runs) == {"new", "of-age-1", "of-age-2"}
    assert {p.name for p in runs.parent.iterdir()} >= {"precious"} and (runs / "a file").exists() and (runs / "a link").exists()


def test_a_live_run_of_another_process_stays_until_that_has_ended(runs: Path, other: subprocess.Popen[str]) -> None:
    for age in (3, 2, 1, 0):
        ended(runs / f"of-age-{age}", age)
    assert names(runs) == {"theirs", "of-age-2", "of-age-1", "of-age-0"}
    other.kill()
    other.wait()
    ended(runs / "new", -1)
    assert names(runs) == {"of-age-1", "of-age-0", "new"}


def test_the_executor_keeps_the_folder_of_its_run_until_it_has_read_it(runs: Path) -> None:
    executor = local_executor()
    handle = executor.start(run_spec_for("hang"), runs / "live", device=CPU)
    wait_for(lambda: (runs / "live" / "progress.json").exists())
    make_old(runs / "live", 1000)
    for age in (3, 2, 1, 0):
        ended(runs / f"of-age-{age}", age)
    assert "live" in names(runs)
    executor.kill(handle)
    assert wait_for(lambda: executor.poll(handle)).measurements, "what it had measured could still be read"
    make_old(runs / "live", 1000)
    ended(runs / "new", -1)
    assert names(runs) == {"of-age-1", "of-age-0", "new"}
