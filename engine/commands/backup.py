"""The database as one file, and back: `backup` and `restore`. SQLite only; for PostgreSQL they name the tools that do it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from engine.terminal import AsJson, app, database


@app.command()
def backup(file: Path, as_json: AsJson = False) -> None:
    """Copy the database into a new file: the state of this moment, checked; a scheduler may go on writing. Logs, traces and models are not in it."""
    from db.backup import back_up
    from engine import settings
    from engine.metrics import format_bytes

    done = back_up(settings.database_url(), file.expanduser().absolute())
    said = f"{done.file}: {done.experiments:,} experiments, {format_bytes(done.size_bytes)}, checked"
    print(json.dumps({k: v for k, v in asdict(done).items() if k != "kept"}, default=str) if as_json else said)


@app.command()
def restore(
    file: Path,
    replace: Annotated[bool, typer.Option("--replace", help="Replace the database that is there; a copy of it is kept beside it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Put a backup in the place of the database. No scheduler of this data directory may run meanwhile."""
    from db.backup import restore as restore_file
    from engine import settings
    from engine.locks import SchedulerLock

    lock = SchedulerLock()
    if lock.take_over() is None:
        raise ValueError("restore: a scheduler works with this database, and what it writes would be lost; stop it first (Ctrl-C in `make run`)")
    try:
        done = restore_file(settings.database_url(), file.expanduser().absolute(), replace=replace)
        database().dispose()  # a backup of an earlier version is brought to this one's schema
    finally:
        lock.release()
    if as_json:
        print(json.dumps(asdict(done), default=str))
        return
    print(f"{done.file}: {done.experiments:,} experiments from {file}")
    if done.kept is not None:
        print(f"what was there before is kept: {done.kept}")
