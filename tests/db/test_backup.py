"""Backups: whole while others write, refused where they would lose something, and put back as they were."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from db import backup, queue
from db.backup import back_up, restore
from db.session import connect, migrate
from tests.db.conftest import CPU, end, enqueue, rows

WRITER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
print("ready", flush=True)
n = 0
while True:  # two rows of one transaction: a copy between them is no state that ever was
    n += 1
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE a SET n = ?", (n,))
    connection.execute("INSERT INTO filler VALUES (zeroblob(20000))")
    connection.execute("UPDATE b SET n = ?", (n,))
    connection.execute("COMMIT")
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "lab.db"


@pytest.fixture
def url(file: Path) -> str:
    return f"sqlite:///{file}"


@pytest.fixture
def saved(db: Engine, url: str, tmp_path: Path) -> Path:
    """A backup of a database with one experiment, which then got another one."""
    enqueue(db)
    back_up(url, tmp_path / "saved")
    enqueue(db)
    return tmp_path / "saved"


def count(file: Path) -> int:
    with closing(sqlite3.connect(file)) as connection:
        return int(connection.execute("SELECT count(*) FROM experiments").fetchone()[0])


def beside(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_backup_is_one_moment_though_another_process_writes(db: Engine, url: str, file: Path, tmp_path: Path) -> None:
    with db.begin() as connection:
        for statement in ("CREATE TABLE a (n)", "CREATE TABLE b (n)", "CREATE TABLE filler (x)", "INSERT INTO a VALUES (0)", "INSERT INTO b VALUES (0)"):
            connection.execute(text(statement))
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(file)], stdout=subprocess.PIPE, text=True)
    try:
        assert writer.stdout is not None and writer.stdout.readline() == "ready\n"
        seen = []
        while len(seen) < 5 or seen[-1] == seen[0]:  # until it surely went on between two of them
            target = tmp_path / f"copy{len(seen)}"
            assert back_up(url, target).experiments == 0
            with closing(sqlite3.connect(target)) as copy:
                (a,), (b,) = copy.execute("SELECT n FROM a").fetchone(), copy.execute("SELECT n FROM b").fetchone()
                assert a == b and copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            seen.append(a)
        assert writer.poll() is None, "it was not disturbed"
    finally:
        writer.kill()
        writer.communicate()


def test_a_scheduler_goes_on_while_backups_are_made(db: Engine, url: str, tmp_path: Path) -> None:
    enqueue(db, runs=30)
    failed: list[BaseException] = []

    def work() -> None:
        try:
            while (claim := queue.claim(db, "owner", CPU)) is not None:
                assert queue.beat(db, claim, phase="p", log_tail="t") is False and end(db, claim)
        except BaseException as error:
            failed.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    copies = 0
    while worker.is_alive() or not copies:
        back_up(url, tmp_path / f"copy{copies}")
        copies += 1
    worker.join()
    assert not failed
    back_up(url, tmp_path / "last")
    with closing(sqlite3.connect(tmp_path / "last")) as copy:
        assert copy.execute("SELECT status, count(*) FROM runs GROUP BY status").fetchall() == [("succeeded", 30)]


def test_what_is_written_while_the_old_state_is_kept_is_kept_too(db: Engine, url: str, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    back_up(url, tmp_path / "backup")
    keep, kept = backup._keep, []

    def somebody_writes(database: Path) -> Path:
        kept.append(keep(database))
        if len(kept) == 1:
            enqueue(db)
        return kept[-1]

    monkeypatch.setattr(backup, "_keep", somebody_writes)
    done = restore(url, tmp_path / "backup", replace=True)
    assert len(kept) == 2 and done.kept == kept[1] and stat.S_IMODE(kept[1].stat().st_mode) == 0o600
    with closing(sqlite3.connect(kept[1])) as copy:
        assert copy.execute("SELECT count(*) FROM experiments").fetchone() == (1,)
    assert len(list(tmp_path.glob("lab.db.before-restore-*"))) == 1, "the copy that missed it is gone"


def test_a_database_that_is_always_written_to_is_not_replaced(db: Engine, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    back_up(url, tmp_path / "backup")
    keep = backup._keep

    def somebody_writes(database: Path) -> Path:
        kept = keep(database)
        enqueue(db)
        return kept

    monkeypatch.setattr(backup, "_keep", somebody_writes)
    with pytest.raises(ValueError, match="somebody writes to it all the time; stop the pages and try again"):
        restore(url, tmp_path / "backup", replace=True)
    assert len(rows(db)) == 5 and list(tmp_path.glob("lab.db.before-restore-*")) == []


def test_a_backup_is_one_private_file_and_never_replaces_one(db: Engine, url: str, tmp_path: Path) -> None:
    enqueue(db)
    target = tmp_path / "out" / "saved"
    target.parent.mkdir()
    done = back_up(url, target)
    assert (done.experiments, done.size_bytes, done.file) == (1, target.stat().st_size, target)
    assert beside(target.parent) == ["saved"] and target.stat().st_mode & 0o777 == 0o600
    before = target.read_bytes()
    with pytest.raises(ValueError, match="^FILE: .*saved is there already; name a new file"):
        back_up(url, target)
    assert target.read_bytes() == before


def test_what_cannot_be_backed_up_is_said(tmp_path: Path, db: Engine, url: str) -> None:
    with pytest.raises(ValueError, match="there is none at .*absent; nothing to back up"):
        back_up(f"sqlite:///{tmp_path}/absent", tmp_path / "copy")
    with pytest.raises(ValueError, match="^FILE: .* cannot be written: "):
        back_up(url, tmp_path / "no" / "folder" / "copy")
    assert not (tmp_path / "absent").exists() and not (tmp_path / "no").exists()


def test_a_damaged_database_gives_no_backup(db: Engine, url: str, file: Path, tmp_path: Path) -> None:
    enqueue(db, runs=200)
    db.dispose()
    size = file.stat().st_size
    with file.open("r+b") as f:
        f.seek(size // 2)
        f.write(os.urandom(size // 4))
    with pytest.raises(ValueError, match="cannot be written: .*; nothing was left there"):
        back_up(url, tmp_path / "copy")
    assert not list(tmp_path.glob("copy*"))


@pytest.mark.parametrize("action", ["back_up", "restore"])
def test_of_postgresql_the_tool_is_named_without_the_password(action: str, tmp_path: Path) -> None:
    url = "postgresql+psycopg://lab:s3cr3t@db.example:5433/lab?sslmode=require&password=s3cr3t"
    with pytest.raises(ValueError) as refused:
        back_up(url, tmp_path / "a b") if action == "back_up" else restore(url, tmp_path / "a b", replace=True)
    said, address = str(refused.value), "'postgresql://lab@db.example:5433/lab?sslmode=require'"
    assert "s3cr3t" not in said
    assert said.endswith(f"pg_dump --format=custom --file='{tmp_path}/a b' {address}" if action == "back_up" else
                         f"pg_restore --clean --if-exists --no-owner --single-transaction --dbname={address} '{tmp_path}/a b'")  # fmt: skip


def test_restore_refuses_unless_told_and_keeps_what_it_replaces(saved: Path, url: str, file: Path, db: Engine) -> None:
    with pytest.raises(ValueError, match="would be replaced; add --replace, which keeps a copy"):
        restore(url, saved, replace=False)
    assert count(file) == 2
    with db.connect() as reader:  # a page that has the database open
        assert reader.execute(text("SELECT count(*) FROM experiments")).scalar() == 2
        reader.commit()
        done = restore(url, saved, replace=True)
        assert reader.execute(text("SELECT count(*) FROM experiments")).scalar() == 1, "it sees the restored one without being opened anew"
    assert done.kept is not None and done.kept.name.startswith("lab.db.before-restore-") and count(done.kept) == 2
    assert done.experiments == count(file) == 1
    enqueue(db)  # and it can be written
    assert count(file) == 2
    again = restore(url, done.kept, replace=True)
    assert again.kept not in (None, done.kept), "two within a second have two names"


def test_where_nothing_is_there_a_backup_is_restored_at_once(saved: Path, tmp_path: Path) -> None:
    new = tmp_path / "new" / "lab.db"
    assert restore(f"sqlite:///{new}", saved, replace=False).kept is None
    engine = connect(f"sqlite:///{new}")
    migrate(engine)
    enqueue(engine)
    engine.dispose()
    assert count(new) == 2


def test_a_damaged_database_is_replaced_and_its_bytes_are_kept(saved: Path, url: str, file: Path, db: Engine) -> None:
    db.dispose()
    file.write_bytes(b"not a database at all" * 1000)
    done = restore(url, saved, replace=True)
    assert done.kept is not None and done.kept.read_bytes() == b"not a database at all" * 1000
    assert count(file) == 1


@pytest.mark.parametrize(("content", "message"), [
    (b"", "is no backup of this product: no such table: alembic_version"),
    (b"text, not a database" * 100, "is no backup of this product: file is not a database"),
    ("newer", r"was written by a newer version \(schema 9999\); update this code"),
    ("foreign", "is no backup of this product: no such table: alembic_version"),
    ("damaged", "is no backup of this product: .*"),
    (None, "^FILE: there is no "),
])  # fmt: skip
def test_what_is_no_backup_is_refused_and_changes_nothing(saved: Path, url: str, file: Path, tmp_path: Path, content: Any, message: str) -> None:
    source = tmp_path / "source"
    if isinstance(content, bytes):
        source.write_bytes(content)
    elif content == "foreign":
        with closing(sqlite3.connect(source)) as connection:
            connection.execute("CREATE TABLE invoices (id)")
    elif content is not None:
        source.write_bytes(saved.read_bytes())
        if content == "newer":
            with closing(sqlite3.connect(source)) as connection:
                connection.execute("UPDATE alembic_version SET version_num = '9999'")
                connection.commit()
        else:
            with source.open("r+b") as f:
                f.seek(4096)
                f.write(b"\xff" * 8192)
    with pytest.raises(ValueError, match=message):
        restore(url, source, replace=True)
    assert count(file) == 2 and not list(tmp_path.glob("lab.db.before-restore*"))


def test_the_database_itself_is_no_backup_of_it(saved: Path, url: str, file: Path) -> None:
    with pytest.raises(ValueError, match="is the database itself"):
        restore(url, file, replace=True)


def test_a_database_that_is_being_written_is_not_waited_for_without_end(saved: Path, url: str, file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(ValueError, match="cannot be replaced: another process is writing to it; stop the scheduler"):
            restore(url, saved, replace=True, busy_seconds=0.2)
        writer.execute("ROLLBACK")
    assert count(file) == 2
