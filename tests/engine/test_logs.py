"""The scheduler's own log: lines for people, or JSON lines that a collector reads."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from engine import logs, settings
from engine.launch import main
from tests.command_line import engine


def test_people_see_trouble_only(capsys: pytest.CaptureFixture[str]) -> None:
    log = logs.logger("scheduler")
    log.info("run started", extra={"run": 1})
    log.warning("the database cannot be used now: postgresql://lab:s3cr3t@db/lab")
    assert capsys.readouterr().err == "scheduler: the database cannot be used now: postgresql://lab:***@db/lab\n"


def test_programs_see_everything_one_object_a_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_LOG_FORMAT", "json")
    log = logs.logger("scheduler")
    log.info("run started", extra={"run": 1, "experiment": "abc", "device": "cpu"})
    log.warning("two\nlines, hf_abcdefgh", extra={"reason": "Authorization: Bearer abc", "devices": ["cpu"]})
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert (first["level"], first["logger"], first["message"], first["run"], first["device"]) == ("info", "lab.scheduler", "run started", 1, "cpu")
    assert datetime.fromisoformat(first["time"].replace("Z", "+00:00")).tzinfo is not None
    assert second["message"] == "two\nlines, hf_***" and second["reason"] == "Authorization: Bearer ***" and second["devices"] == ["cpu"]
    assert set(first) == {"time", "level", "logger", "pid", "message", "run", "experiment", "device"}


def test_an_unknown_format_is_refused_before_anything_starts(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("LAB_LOG_FORMAT", "xml")
    assert main() == 2
    assert capsys.readouterr().err == "error: LAB_LOG_FORMAT: 'xml' is not known; use text or json\n"
    assert engine("scheduler").returncode == 2
    monkeypatch.setenv("LAB_LOG_FORMAT", "JSON")
    assert settings.log_format() == "json"
