"""`backup` and `restore` as people type them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import Engine

from db.queries import count_experiments
from db.session import connect, migrate
from engine.locks import SchedulerLock
from engine.settings import data_dir, database_url
from tests.command_line import engine
from tests.db.conftest import enqueue


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A backup by the command, after which an experiment was added."""
    opened = lab()
    enqueue(opened)
    out = engine("backup", str(tmp_path / "saved"), "--json")
    assert out.returncode == 0 and json.loads(out.stdout)["experiments"] == 1, out.stderr
    enqueue(opened)
    opened.dispose()
    return tmp_path / "saved"


def lab() -> Engine:
    data_dir().mkdir(parents=True, exist_ok=True)
    opened = connect(database_url())
    migrate(opened)
    return opened


def test_restore_asks_first_and_says_what_it_kept(saved: Path) -> None:
    out = engine("restore", str(saved))
    assert out.returncode == 2 and "add --replace" in out.stderr.replace("\n", " ") and not out.stdout
    out = engine("restore", str(saved), "--replace")
    assert out.returncode == 0 and "1 experiments from" in out.stdout and "kept: " in out.stdout
    opened = lab()
    assert count_experiments(opened) == 1
    opened.dispose()


def test_nothing_is_restored_beside_a_scheduler(saved: Path) -> None:
    scheduler = SchedulerLock()
    assert scheduler.take_over() is not None
    out = engine("restore", str(saved), "--replace")
    assert out.returncode == 2 and "a scheduler works with this database" in out.stderr.replace("\n", " ")
    scheduler.release()
    assert engine("restore", str(saved), "--replace", "--json").returncode == 0, "the refused one holds nothing"


def test_of_postgresql_the_tool_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://lab:s3cr3t@nowhere.example/lab")
    for command, tool in (("backup", "pg_dump"), ("restore", "pg_restore")):
        out = engine(command, str(tmp_path / "file"))
        assert out.returncode == 2 and tool in out.stderr and "s3cr3t" not in out.stderr
