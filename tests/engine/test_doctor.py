"""The doctor finds what is broken, on purpose here: disk, database, scheduler."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from db import liveness
from engine import doctor
from engine.doctor import Finding, checks, findings
from engine.settings import data_dir
from tests.db.conftest import enqueue


def found(kind: str) -> Finding:
    report = {"checks": checks(data_dir()), "devices": [], "left_out": [], "packages": {}, "environments": {}, "models": [], "datasets": [], "techniques": {}}
    return next(f for f in findings(report) if f.kind == kind)


def test_all_is_well(db: Engine) -> None:
    enqueue(db, runs=3)
    liveness.announce(db, "alive", machine="here", pid=7, devices=[], availability={})
    assert found("database").problem is None and found("database").detail.endswith("1 experiments")
    assert found("scheduler") == Finding("scheduler", "here (pid 7)", None, "3 runs wait, 0 go on")
    assert found("disk").problem is None and found("disk").detail.endswith(" free")


def test_a_dead_scheduler(db: Engine) -> None:
    enqueue(db, runs=3)
    liveness.announce(db, "dead", machine="here", pid=7, devices=[], availability={})
    with db.begin() as connection:
        connection.execute(text("UPDATE schedulers SET seen_at = datetime('now', '-60 seconds')"))
    assert (found("scheduler").problem or "").startswith("none is alive, so nothing is run; 3 runs wait, 0 go on")


@pytest.mark.parametrize(("damage", "problem"), [
    (lambda file: file.write_bytes(b"text" * 3000), "file is not a database"),
    (lambda file: file.write_bytes(b""), "it has no tables yet: make run makes them"),
    (lambda file: file.write_bytes(file.read_bytes()[:5000]), "malformed|damaged"),
])  # fmt: skip
def test_a_damaged_database(db: Engine, damage: Any, problem: str) -> None:
    enqueue(db, runs=50)
    db.dispose()
    file = data_dir() / "lab.db"
    damage(file)
    content = file.read_bytes()
    said = found("database").problem or ""
    assert any(part in said for part in problem.split("|")), said
    assert file.read_bytes() == content or not content, "only looked at"


def test_a_newer_and_an_older_database(db: Engine) -> None:
    for revision, problem in (("9999", "it was written by a newer version (schema 9999); update this code"), ("0001", None)):
        with db.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})
        assert found("database").problem == problem
    assert "brought up to date" in found("database").detail


def test_a_database_that_is_away_shows_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://lab:s3cr3t@127.0.0.1:9/lab")
    finding = found("database")
    assert finding.name == "127.0.0.1:9/lab" and finding.problem and "s3cr3t" not in finding.problem and "efused" in finding.problem


def test_a_full_disk_and_one_that_is_not_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "MINIMUM_FREE_BYTES", 10**18)
    assert "make room: python -m engine clean" in (found("disk").problem or "")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert found("disk").problem == "it cannot be written by this user"
