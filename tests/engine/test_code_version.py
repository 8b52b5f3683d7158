"""The commit that numbers came from."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from engine import code_version


def git(folder: Path, *command: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    return subprocess.run(["git", *who, *command], check=True, cwd=folder, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "clone"
    folder.mkdir()
    (folder / "file").write_text("a")
    monkeypatch.setattr(code_version, "REPOSITORY", folder)
    return folder


def test_the_commit_and_whether_the_tree_was_changed(tree: Path) -> None:
    git(tree, "init")
    git(tree, "add", "file")
    git(tree, "commit", "-m", "first")
    assert code_version.commit() == git(tree, "rev-parse", "HEAD")
    (tree / "file").write_text("b")
    assert code_version.commit() == git(tree, "rev-parse", "HEAD") + "-dirty"


def test_without_git_there_is_none(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tree.parent, "init")
    git(tree.parent, "add", ".")
    git(tree.parent, "commit", "-m", "of what the code was put into")
    assert code_version.commit() is None
    monkeypatch.setenv("PATH", "")
    assert code_version.commit() is None
