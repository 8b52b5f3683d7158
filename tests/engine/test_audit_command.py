"""`engine audit`: what was done from the command line is in the trail, with the name of whoever ran it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command_line import engine


def test_what_is_done_from_a_terminal_is_in_the_trail(own_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_USER", "ana")
    assert json.loads(engine("audit", "--json").stdout) == []
    submitted = json.loads(engine("submit", "quickstart", "--model", "llama-7b", "--device", "cpu", "--json").stdout or "null")
    assert submitted is not None
    engine("cancel", submitted["id"])
    rows = json.loads(engine("audit", "--json", "--limit", "5").stdout)
    assert [(r["who"], r["action"], r["subject_id"]) for r in rows] == [("ana", "cancelled", submitted["id"]), ("ana", "started", submitted["id"])]
    assert "cancelled" in engine("audit").stdout
