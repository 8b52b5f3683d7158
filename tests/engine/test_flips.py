"""The four counts behind McNemar's test, by hand, and that nothing is counted where nothing may be compared."""

from __future__ import annotations

from typing import Any

import pytest

from engine.analysis import rows
from engine.commands.run import _print_flips
from engine.flips import Flips, flips
from tests.records import build_record

#            both     lost      gained     neither
BASE = [1.0] * 30 + [1.0] * 9 + [0.0] * 1 + [0.0] * 10
SMALL = [1.0] * 30 + [0.0] * 9 + [1.0] * 1 + [0.0] * 10


def record(small: list[float], **changes: Any) -> dict[str, Any]:
    quality = {"base": {"accuracy": BASE, "f1": [0.7]}, "small": {"accuracy": small, "f1": [0.7]}}
    return build_record({"base": {}, "small": {}}, quality=quality, **changes)


def test_the_counts_and_p_are_those_of_a_calculation_by_hand() -> None:
    label = "text=wikitext2-test, tokens=4096, context=1024"
    # 1 or fewer of 10 at 1/2, both sides: 2 (1 + 10) / 1024
    assert flips(record(SMALL)) == [Flips("small", "accuracy", label, 50, 30, 9, 1, pytest.approx(22 / 1024))]


def test_they_are_the_verdicts_own() -> None:
    accuracy = next(r for r in rows(record(SMALL)) if r.metric == "accuracy" and r.variant == "small")
    (found,) = flips(record(SMALL))
    assert accuracy.ratio == pytest.approx((found.both + found.only_variant) / (found.both + found.only_baseline))
    assert accuracy.verdict == "worse"


def test_equal_answers_have_no_flips_and_p_1() -> None:
    (found,) = flips(record(BASE))
    assert (found.both, found.only_baseline, found.only_variant, found.p) == (39, 0, 0, 1.0)


def test_what_cannot_be_compared_is_left_out() -> None:
    assert flips(record(SMALL[:-1])) == [], "other examples"
    assert flips(record(SMALL, quality_runs={"base": {"status": "failed", "reason": "signal 11"}})) == []
    assert flips(build_record({"base": {}, "small": {}}, quality={"base": {"perplexity": [9.0] * 8}, "small": {"perplexity": [9.0] * 8}})) == []
    unloaded = record(SMALL)
    for run in unloaded["runs"]:
        for measured in run["measurements"]:
            measured["samples"] = []
    assert flips(unloaded) == []


def test_the_command_line_shows_them_and_is_silent_without_any(capsys: pytest.CaptureFixture[str]) -> None:
    _print_flips(record(SMALL))
    line = next(line for line in capsys.readouterr().out.splitlines() if "small" in line)
    assert [cell.strip() for cell in line.strip("│").split("│")] == ["small", "accuracy", "50", "30", "9", "1", "0.021"]
    _print_flips(build_record({"base": {}, "small": {}}))
    assert capsys.readouterr().out == ""
