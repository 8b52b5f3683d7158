"""Opening: what is refused, what is upgraded, and that nothing is half done."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, inspect, text

from db.session import connect, migrate, reading
from db.tables import Base
from tests.db.conftest import enqueue


@pytest.mark.case("T36")
def test_migrations_give_the_schema_of_the_tables(db: Engine) -> None:
    with db.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), Base.metadata) == []


@pytest.mark.case("T26")
def test_many_processes_may_migrate_at_once(url: str) -> None:
    engines = [connect(url) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(migrate, engines))
    assert "runs" in inspect(engines[0]).get_table_names()
    for engine in engines:
        engine.dispose()


@pytest.mark.case("T25")
def test_a_newer_schema_is_refused_and_left_alone(db: Engine) -> None:
    with db.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ValueError, match=r"newer version \(schema 9999\); update this code"):
        migrate(db)
    assert "runs" in inspect(db).get_table_names()


@pytest.mark.case("T26")
def test_a_failing_migration_leaves_nothing_behind(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from alembic import op

    def break_down(*_: object, **__: object) -> None:
        raise RuntimeError("in the middle")

    engine = connect(url)
    monkeypatch.setattr(op, "create_index", break_down)  # after the first tables were made
    with pytest.raises(RuntimeError):
        migrate(engine)
    assert inspect(engine).get_table_names() == []
    engine.dispose()


def test_tables_of_something_else_are_refused(url: str) -> None:
    engine = connect(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE invoices (id INTEGER)"))
    with pytest.raises(ValueError, match=r"holds tables of something else \(invoices\)"):
        migrate(engine)
    engine.dispose()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("nonsense", "DATABASE_URL: not a database URL"),
        ("mysql://a/b", "'mysql' is not supported"),
        ("sqlite://", "in memory cannot be shared"),
    ],
)
def test_bad_urls_are_named(bad: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        connect(bad)


@pytest.mark.case("T24")
def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is a folder; name a file in it"):
        connect(f"sqlite:///{tmp_path}")


def test_a_parent_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="cannot make the folder"):
        connect(f"sqlite:///{tmp_path}/file/lab.db")


@pytest.mark.case("T21")
def test_a_server_that_is_away_is_named_without_its_password() -> None:
    with pytest.raises(ValueError, match=r"postgresql\+psycopg://me:\*\*\*@127.0.0.1:9/x cannot be used") as caught:
        migrate(connect("postgresql://me:secret@127.0.0.1:9/x"))
    assert "secret" not in str(caught.value)


@pytest.mark.case("T25")
def test_a_backup_is_made_before_an_upgrade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from alembic import command

    path = tmp_path / "lab.db"
    db = connect(f"sqlite:///{path}")
    migrate(db)
    enqueue(db)
    monkeypatch.setattr("alembic.script.ScriptDirectory.get_current_head", lambda self: "later")
    monkeypatch.setattr(command, "upgrade", lambda config, revision: None)
    migrate(db)
    (backup,) = tmp_path.glob("lab.db.before-upgrade-*")
    copy = sqlite3.connect(backup)
    assert copy.execute("SELECT count(*) FROM experiments").fetchone() == (1,)
    copy.close()
    db.dispose()


@pytest.mark.case("T19")
def test_a_reader_waits_for_no_writer(db: Engine) -> None:
    enqueue(db)
    with db.begin() as writing:
        writing.execute(text("UPDATE experiments SET title = 'new'"))
        with reading(db) as other:
            assert other.execute(text("SELECT title FROM experiments")).scalar() == "t"

