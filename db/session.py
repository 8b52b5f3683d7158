"""Opens a database, SQLite or PostgreSQL, and brings it to the schema of this code.

The only place that knows how the two differ in opening; knows no table. What is wrong with a URL or a file ends as a
ValueError that people can act on.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, func, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.sql.elements import ColumnElement

BUSY_SECONDS = 30
_READ_ONLY = "lab_read_only"
_ADVISORY_LOCK = 727_001


def connect(url: str, *, read_only: bool = False) -> Engine:
    """An engine for a URL; nothing is opened yet but the folder of a SQLite file is made. Raises ValueError.

    read_only: the database itself refuses every write through this engine.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ValueError("DATABASE_URL: not a database URL; write sqlite:///FILE or postgresql://USER@HOST/NAME") from None
    # NaN inside JSON would be stored by SQLite and refused by PostgreSQL
    options: dict[str, Any] = {"json_serializer": partial(json.dumps, allow_nan=False)}
    kind = parsed.get_backend_name()
    if kind in ("postgresql", "postgres"):
        # as on SQLite: who waits for a lock is told so after a while, a page does not hang for ever
        settings = f"-c lock_timeout={BUSY_SECONDS}s" + (" -c default_transaction_read_only=on" if read_only else "")
        return create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True, connect_args={"options": settings}, **options)
    if kind != "sqlite":
        raise ValueError(f"DATABASE_URL: {kind!r} is not supported; use SQLite or PostgreSQL")
    _check_file(parsed)
    engine = create_engine(parsed, connect_args={"timeout": BUSY_SECONDS}, **options)
    event.listen(engine, "connect", partial(_configure, read_only=read_only))
    event.listen(engine, "begin", _begin)
    return engine


@contextmanager
def reading(db: Engine) -> Iterator[Connection]:
    """A transaction that only reads: on SQLite it waits for no writer and blocks none."""
    with db.connect().execution_options(**{_READ_ONLY: True}) as connection, connection.begin():
        yield connection


def now(db: Engine) -> ColumnElement[Any]:
    """The database's own clock as naive UTC: the only clock that all who write to it share."""
    return func.timezone("utc", func.clock_timestamp()) if db.dialect.name == "postgresql" else func.current_timestamp()


def _check_file(url: URL) -> None:
    if not url.database or url.database == ":memory:":
        raise ValueError("DATABASE_URL: a database in memory cannot be shared by processes; name a file: sqlite:///FILE")
    path = Path(url.database)
    if path.is_dir():
        raise ValueError(f"DATABASE_URL: {path} is a folder; name a file in it: sqlite:///{path}/lab.db")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"DATABASE_URL: cannot make the folder of {path}: {error.strerror}") from None


def _configure(connection: Any, _: Any, *, read_only: bool) -> None:
    connection.isolation_level = None  # the driver no longer hides BEGIN, which makes changes of the schema transactional too
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", *(["query_only=ON"] if read_only else [])):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    # a reader that turns into a writer fails at once, whatever the timeout; who takes the lock first can wait for it
    mode = "" if connection.get_execution_options().get(_READ_ONLY) else " IMMEDIATE"
    connection.exec_driver_sql(f"BEGIN{mode}")


def migrate(db: Engine) -> None:
    """Create or upgrade the schema, all or nothing; several processes may call it at once.

    Raises ValueError in one line where the database is newer than this code, foreign, corrupt or cannot be written.
    """
    try:
        with db.begin() as connection:
            if db.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
            elif (state := connection.execute(text("PRAGMA quick_check(1)")).scalar()) != "ok":
                raise ValueError(f"database: {_where(db)} is damaged ({' '.join(str(state).split())}); restore a backup or move the file away")
            _upgrade(db, connection)
    except DBAPIError as error:
        reason = " ".join(str(error.orig).split())
        if type(error.orig) is sqlite3.DatabaseError:  # "not a database", "malformed"; what may pass is of a subclass
            reason += "; restore a backup or move the file away"
        raise ValueError(f"database: {_where(db)} cannot be used: {reason}") from None


def _upgrade(db: Engine, connection: Connection) -> None:
    config, _ = _migrations()
    config.attributes["connection"] = connection
    current, head = MigrationContext.configure(connection).get_current_revision(), head_revision()
    if current == head:
        return
    if current is not None and current not in known_revisions():
        raise ValueError(f"database: {_where(db)} was written by a newer version (schema {current}); update this code")
    if current is None and (tables := inspect(connection).get_table_names()):
        raise ValueError(f"database: {_where(db)} holds tables of something else ({tables[0]}); name an empty database")
    if current is not None and db.dialect.name == "sqlite":
        _back_up(Path(str(db.url.database)), current)
    command.upgrade(config, "head")


def known_revisions() -> set[str]:
    """Every schema that this code can bring up to date."""
    return {script.revision for script in _migrations()[1].walk_revisions()}


def head_revision() -> str | None:
    """The schema of this code."""
    return _migrations()[1].get_current_head()


def _migrations() -> tuple[Config, ScriptDirectory]:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config, ScriptDirectory.from_config(config)


def _back_up(path: Path, revision: str) -> None:
    """A copy beside the file, made through a connection of its own: the state before the upgrade that is going on."""
    copy = Path(f"{path}.before-upgrade-{revision}")
    copy.unlink(missing_ok=True)  # of an upgrade that was undone
    private_file(copy)
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)


def private_file(path: Path) -> None:
    """An empty new file that its owner alone can read: results of others may come into it. Raises FileExistsError."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _where(db: Engine) -> str:
    return str(db.url.database) if db.dialect.name == "sqlite" else db.url.render_as_string(hide_password=True)
