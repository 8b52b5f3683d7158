"""The importers: of our own bundles, and of other tools' files. What they take can be stored, read, judged and exported."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from db import queries
from db.records import import_record
from engine import analysis
from engine.bundle import load_bundle
from engine.export.files import Source, content
from engine.imports import tools
from engine.settings import REPOSITORY
from tests.dashboard.conftest import finished
from tests.fuzz.hostile import files, fuzz, is_clear

BUNDLE = finished()
FOREIGN = {p.name: p for p in sorted((REPOSITORY / "tests" / "engine" / "imports" / "files").glob("*.json"))}


def use(db: Engine, record: dict[str, Any]) -> None:
    """What is done with a record once it is in: everything that a page or a file needs of it."""
    record["experiment"]["id"] = secrets.token_urlsafe(16)
    stored = import_record(db, record, "imported")
    found = queries.record(db, stored, samples="all")
    assert found is not None
    analysis.rows(found)
    for name in ("csv", "samples", "json"):
        assert content(name, Source(found, "http://127.0.0.1:8501/experiment"))


@fuzz
@given(data=files(BUNDLE))
def test_our_own_bundle(db: Engine, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "bundle.json"
    path.write_bytes(data)
    try:
        use(db, load_bundle(path))
    except ValueError as error:
        is_clear(error, "bundle: ", "metric: ")  # a metric of another version is stored, and pages say that they do not know it


@pytest.mark.parametrize("name", FOREIGN)
def test_a_file_of_another_tool(db: Engine, name: str) -> None:
    import json

    whole = json.loads(FOREIGN[name].read_bytes())

    @fuzz
    @given(data=files(whole), called=st.one_of(st.just(name), st.text(max_size=400)))
    def one(data: bytes, called: str) -> None:
        try:
            use(db, tools.read_file(called, data))
        except ValueError as error:
            is_clear(error)

    check: Callable[[], None] = one
    check()
