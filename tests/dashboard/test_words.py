"""Words: numbers as people read them, and text of others as nothing but text."""

from __future__ import annotations

import math
import string

import pytest

from dashboard import words
from engine.measurement import Status


@pytest.mark.parametrize(("ratio", "text"), [
    (0.25, "\u221275 %"), (1.0, "±0 %"), (1.0004, "±0 %"), (0.9996, "±0 %"), (1.024, "+2.4 %"), (2.4, "+140 %"), (31.0, "+3,000 %"),
    (None, ""), (math.nan, ""),
])  # fmt: skip
def test_changes(ratio: float | None, text: str) -> None:
    assert words.change_text(ratio) == text


def test_an_interval_needs_both_ends() -> None:
    assert words.interval_text(0.5, 0.6) == "\u221250 % to \u221240 %"
    assert words.interval_text(0.5, math.nan) == ""


@pytest.mark.parametrize(("seconds", "text"), [(-1, "0 s"), (40.4, "40 s"), (89.9, "90 s"), (360, "6 min"), (7500, "2 h 5 min")])
def test_durations(seconds: float, text: str) -> None:
    assert words.seconds_text(seconds) == text


def test_every_mark_of_markdown_is_escaped_and_lines_are_joined() -> None:
    escaped = words.escape(string.punctuation)
    assert escaped == "".join(f"\\{mark}" for mark in string.punctuation)
    assert words.escape("a\n\n# b\t c") == "a \\# b c"


def test_chart_labels_are_short_and_keep_both_ends() -> None:
    text = words.chart_text("bnb_4bit(quant_type=nf4, double_quant=False) + kv_cache(mode=off)", 26)
    assert len(text) <= 26 and text.startswith("bnb_4bit") and text.endswith("off)")
    assert words.chart_text("a < b & c") == "a &lt; b &amp; c"


@pytest.mark.parametrize("status", list(Status))
def test_every_status_is_a_mark_and_a_word(status: Status) -> None:
    mark, _, word = words.STATUS[status].partition(" ")
    assert len(mark) == 1 and not mark.isalnum() and len(word) > 3


@pytest.mark.parametrize(("counts", "text"), [
    ({"running": 1, "queued": 2, "succeeded": 3}, "3 of 6 runs done"), ({"queued": 2}, "0 of 2 runs done"),
    ({"succeeded": 2, "out_of_memory": 1}, "finished: 1 out of memory"), ({}, "no runs"),
])  # fmt: skip
def test_experiments_in_a_word(counts: dict[str, int], text: str) -> None:
    assert text in words.experiment_status(counts)
