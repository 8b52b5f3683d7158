"""The project's own measured results, as bundles in the tree: put into every database, so that a newcomer sees a GPU's numbers."""

from __future__ import annotations

from sqlalchemy import Engine

from db import records
from engine.bundle import load_bundle
from engine.settings import REPOSITORY

FOLDER = REPOSITORY / "experiments" / "reference"


def import_references(db: Engine) -> list[str]:
    """Store every reference bundle that is not there yet, and in place of the stored one where it changed.

    Returns what is wrong with those that were left out: results that cannot be shown are no reason to show nothing.
    """
    problems = []
    for path in sorted(FOLDER.glob("*.json")):
        try:
            records.import_record(db, load_bundle(path), "reference")
        except ValueError as error:
            problems.append(f"{path.name}: {error}")
    return problems
