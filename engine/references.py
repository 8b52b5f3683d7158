"""The project's own measured results, as bundles in the tree: put into every database, so that a newcomer sees a GPU's numbers."""

from __future__ import annotations

from sqlalchemy import Engine

from db import records
from engine.record import load_bundle
from engine.settings import REPOSITORY

FOLDER = REPOSITORY / "experiments" / "reference"


def import_references(db: Engine) -> list[str]:
    """Store every reference bundle that is not there yet; returns their experiment ids."""
    return [records.import_record(db, load_bundle(path), "reference") for path in sorted(FOLDER.glob("*.json"))]
