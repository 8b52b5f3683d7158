"""A database with three experiments that differ in everything that a list shows."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Engine

from db import edits
from db.tables import utc_now
from tests.dashboard.browse.listed import Ids, set_row, submit


@pytest.fixture
def three(db: Engine, experiment: str) -> Ids:
    """Ids by title: "old" is finished and imported; "mid" and "new" wait, of different owners and techniques."""
    found = {"old": experiment, "mid": submit(db, "mid"), "new": submit(db, "new", "float16", owner="grace")}
    edits.change(db, [experiment], {"title": "old"})
    edits.add_tags(db, [found["old"], found["mid"]], ["paper"])
    for days, title in enumerate(("new", "mid", "old")):
        set_row(db, found[title], created_at=utc_now() - timedelta(days=days))
    return found
