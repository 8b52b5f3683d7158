"""The project's own measured results, as bundles in the tree: put into every database, so that a newcomer sees a GPU's numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine.bundle import load_bundle
from engine.record import Record
from engine.settings import REPOSITORY

if TYPE_CHECKING:
    from sqlalchemy import Engine

FOLDER = REPOSITORY / "experiments" / "reference"


def load_references() -> tuple[list[Record], list[str]]:
    """(every reference bundle, what is wrong with those that were left out), read from the files: no database is needed."""
    found, problems = [], []
    for name, record in _each():
        if isinstance(record, ValueError):
            problems.append(f"{name}: {record}")
        else:
            found.append(record)
    return found, problems


def import_references(db: Engine) -> list[str]:
    """Store every reference bundle that is not there yet, and in place of the stored one where it changed.

    Returns what is wrong with those that were left out: results that cannot be shown are no reason to show nothing.
    """
    from db import records

    problems = []
    for name, record in _each():
        try:
            if isinstance(record, ValueError):
                raise record
            records.import_record(db, record, "reference")
        except ValueError as error:
            problems.append(f"{name}: {error}")
    return problems


def _each() -> Iterator[tuple[str, Record | ValueError]]:
    for path in sorted(FOLDER.glob("*.json")):
        try:
            yield path.name, load_bundle(path)
        except ValueError as error:
            yield path.name, error
