"""`engine audit`: what was done from the command line is in the trail, with the name of whoever ran it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine import settings
from tests.command_line import engine


def test_what_is_done_from_a_terminal_is_in_the_trail(own_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_USER", "ana")
    assert json.loads(engine("audit", "--json").stdout) == []
    smallest = min((settings.REPOSITORY / "experiments" / "reference").glob("*.json"), key=lambda path: path.stat().st_size)
    found = json.loads(engine("import", str(smallest), "--json").stdout)["id"]
    engine("import", str(smallest))  # nothing is new: nothing was done
    rows = json.loads(engine("audit", "--json", "--limit", "5").stdout)
    assert [(r["who"], r["action"], r["subject_id"]) for r in rows] == [("ana", "imported", found)]
    assert "imported" in engine("audit").stdout
