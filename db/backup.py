"""A SQLite database copied into one file, and put back from one, while others read and write it. Knows no table of ours but the schema's version.

Both ways use SQLite's online backup, so that a copy is the state of one moment. PostgreSQL has better tools of its own, which are named.
Everything that cannot be done is a ValueError that says what to do.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from db.session import BUSY_SECONDS, known_revisions, private_file

_TRIES = 5
_PIECE = 2048
"""Pages of one step while a copy is written into a database that others use."""


@dataclass(frozen=True)
class Copied:
    """What was copied. kept: where the database that was replaced is now; None where there was none."""

    file: Path
    size_bytes: int
    experiments: int
    schema: str
    kept: Path | None = None


def back_up(url: str, target: Path) -> Copied:
    """Write the state of this moment to a new file, checked as a whole. A scheduler may go on writing meanwhile."""
    source = _file_of(url, f"pg_dump --format=custom --file={shlex.quote(str(target))} URL")
    if not source.is_file():
        raise ValueError(f"database: there is none at {source}; nothing to back up")
    if target.exists():
        raise ValueError(f"FILE: {target} is there already; name a new file")
    unfinished = target.with_name(target.name + ".unfinished")
    try:
        with _removed_on_error(unfinished):
            unfinished.unlink(missing_ok=True)
            private_file(unfinished)
            with closing(_opened(source)) as reading, closing(sqlite3.connect(unfinished)) as writing:
                reading.backup(writing)  # in one step: one moment, whoever writes meanwhile
                writing.execute("PRAGMA journal_mode=DELETE")  # one file, nothing beside it
            found = _checked(unfinished)
            _to_disk(unfinished)
            os.rename(unfinished, target)
    except (OSError, sqlite3.Error) as error:
        raise ValueError(f"FILE: {target} cannot be written: {_said(error)}; nothing was left there") from None
    return Copied(target, target.stat().st_size, *found)


def restore(url: str, source: Path, *, replace: bool, busy_seconds: float = BUSY_SECONDS) -> Copied:
    """Put a backup in the place of the database. One that is there is kept beside it, and replaced only where that is asked for.

    It is written into the database in one transaction: who has it open sees the old state or the new one.
    """
    database = _file_of(url, f"pg_restore --clean --if-exists --no-owner --single-transaction --dbname=URL {shlex.quote(str(source))}")
    if not source.is_file():
        raise ValueError(f"FILE: there is no {source}")
    if database.exists() and source.samefile(database):
        raise ValueError(f"FILE: {source} is the database itself; name a backup of it")
    try:
        experiments, schema = _checked(source)
    except sqlite3.Error as error:
        raise ValueError(f"FILE: {source} is no backup of this product: {_said(error)}") from None
    if schema not in known_revisions():
        raise ValueError(f"FILE: {source} was written by a newer version (schema {schema}); update this code")
    there = database.exists() and database.stat().st_size > 0
    if there and not replace:
        raise ValueError(f"database: {database} would be replaced; add --replace, which keeps a copy of it beside it")
    kept = None
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        kept = _keep_unchanged(database) if there else None
        _write_into(database, source, busy_seconds)
    except (OSError, sqlite3.Error) as error:
        where = f"; what was there is in {kept}" if kept else ""
        raise ValueError(f"database: {database} cannot be replaced: {_said(error)}{where}") from None
    return Copied(database, source.stat().st_size, experiments, schema, kept)


def _file_of(url: str, instead: str) -> Path:
    """The file of a SQLite URL. instead: the command that does the same for PostgreSQL, with URL for its address."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ValueError("DATABASE_URL: not a database URL; write sqlite:///FILE or postgresql://USER@HOST/NAME") from None
    if parsed.get_backend_name() == "sqlite" and parsed.database and parsed.database != ":memory:":
        return Path(parsed.database)
    if parsed.get_backend_name() in ("postgresql", "postgres"):
        command = instead.replace("URL", shlex.quote(_without_password(parsed)))
        raise ValueError(f"DATABASE_URL: a PostgreSQL database is copied by its own tools, which ask for the password: {command}")
    raise ValueError("DATABASE_URL: only a SQLite file can be backed up and restored here")


def _without_password(url: URL) -> str:
    """As the tools of PostgreSQL read it."""
    kept = {name: value for name, value in url.query.items() if "password" not in name.lower()}
    return URL.create("postgresql", url.username, None, url.host, url.port, url.database, kept).render_as_string()


def _opened(path: Path, mode: str = "ro", timeout: float = BUSY_SECONDS) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True, timeout=timeout)


def _checked(path: Path) -> tuple[int, str]:
    """(number of experiments, revision of the schema) of a file all pages of which are whole. Raises sqlite3.Error."""
    with closing(_opened(path)) as connection:
        if (state := connection.execute("PRAGMA integrity_check(1)").fetchone()[0]) != "ok":
            raise sqlite3.DatabaseError(f"it is damaged ({state})")
        (schema,) = connection.execute("SELECT version_num FROM alembic_version").fetchone() or ("none",)
        return int(connection.execute("SELECT count(*) FROM experiments").fetchone()[0]), str(schema)


def _keep_unchanged(database: Path) -> Path:
    """A copy of the state that is replaced: taken again where somebody wrote while it was made. Raises sqlite3.Error."""
    with closing(_opened(database)) as watching:
        for _ in range(_TRIES):
            before = _changes(watching)
            kept = _keep(database)
            if before is None or _changes(watching) == before:
                return kept
            kept.unlink()
    raise sqlite3.OperationalError("somebody writes to it all the time; stop the pages and try again")


def _changes(connection: sqlite3.Connection) -> int | None:
    """A number that changes when another connection has written; None of a file that cannot be read."""
    try:
        return int(connection.execute("PRAGMA data_version").fetchone()[0])
    except sqlite3.DatabaseError:
        return None


def _keep(database: Path) -> Path:
    """A copy of what is replaced; of one that cannot be read the very bytes, for those who can still get something out of them."""
    name = f"{database.name}.before-restore-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    kept = next(p for n in range(1000) if not (p := database.with_name(f"{name}-{n}" if n else name)).exists())
    try:
        with _removed_on_error(kept):
            private_file(kept)
            with closing(_opened(database)) as reading, closing(sqlite3.connect(kept)) as writing:
                reading.backup(writing)
        _to_disk(kept)
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            raise
        for ending in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.rename(f"{database}{ending}", f"{kept}{ending}")
    return kept


def _write_into(database: Path, source: Path, busy_seconds: float) -> None:
    new = not database.exists()
    with closing(_opened(source)) as reading, closing(_opened(database, "rwc", 0.0)) as writing:
        if new:
            database.chmod(0o600)
        reading.backup(writing, pages=_PIECE, progress=_no_longer_than(busy_seconds), sleep=0.05)


def _no_longer_than(seconds: float) -> Callable[[int, int, int], None]:
    """Where somebody holds the database, SQLite would try for ever. Each step that went well starts the time anew."""
    last = [time.monotonic()]

    def progress(status: int, remaining: int, total: int) -> None:
        if status not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            last[0] = time.monotonic()
        elif time.monotonic() - last[0] > seconds:
            raise sqlite3.OperationalError("another process is writing to it; stop the scheduler and try again")

    return progress


def _to_disk(path: Path) -> None:
    with path.open("rb") as f:
        os.fsync(f.fileno())


@contextlib.contextmanager
def _removed_on_error(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        for ending in ("", "-journal", "-wal", "-shm"):
            Path(f"{path}{ending}").unlink(missing_ok=True)
        raise


def _said(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
