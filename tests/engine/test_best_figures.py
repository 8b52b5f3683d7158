"""The figures that stand for an experiment in a list: the best by the metric's direction, with its quality, of what nothing disturbed."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine

from db import listing
from db.records import import_record
from engine.best_figures import Best, BestFigures, best_figures, metrics_for
from engine.measurement import Status
from tests.records import build_record


def figures(db: Engine, record: dict[str, Any]) -> BestFigures:
    experiment = import_record(db, record, "imported")
    return best_figures(listing.measured_values(db, [experiment], metrics_for(["generation"])), {experiment: "generation"})[experiment]


def speeds(**by_name: list[Any]) -> dict[str, dict[str, list[Any]]]:
    return {name: {"decode_tokens_per_second": values} for name, values in by_name.items()}


def test_the_fastest_and_the_smallest_with_their_quality(db: Engine) -> None:
    record = build_record(
        {"base": {"decode_tokens_per_second": [30.0, 31.0, 500.0], "weight_bytes": [4e8] * 3},
         "small": {"decode_tokens_per_second": [20.0, 21.0, 19.0], "weight_bytes": [1e8] * 3},
         "fast": {"decode_tokens_per_second": [60.0, 61.0, 62.0], "weight_bytes": [2e8] * 3}},
        quality={"base": {"perplexity": [20.0] * 4}, "small": {"perplexity": [25.0] * 4}, "fast": {}},
    )  # fmt: skip
    found = figures(db, record)
    assert found.fastest == Best("fast", 2, "decode_tokens_per_second", 61.0, "perplexity", None), "its quality was not measured"
    assert found.smallest is not None and found.smallest.quality is not None
    assert (found.smallest.variant, found.smallest.value, round(found.smallest.quality, 6)) == ("small", 1e8, 25.0)


def test_runs_that_were_disturbed_do_not_count(db: Engine) -> None:
    record = build_record(speeds(base=[30.0, 30.0], fast=[90.0, 40.0]))
    record["runs"][1]["details"] = {"contended": "2 other processes on the GPU"}  # fast in round 0
    found = figures(db, record)
    assert found.fastest is not None and (found.fastest.variant, found.fastest.value) == ("fast", 40.0)
    assert found.smallest is None


def test_points_that_differ_are_not_mixed_and_what_did_not_fit_has_no_figure(db: Engine) -> None:
    variants = {"base": {"decode_tokens_per_second": [30.0], "decode_tokens_per_second@4": [300.0]},
                "huge": {"decode_tokens_per_second": [Status.OUT_OF_MEMORY]}}  # fmt: skip
    found = figures(db, build_record(variants))
    assert found.fastest is not None and (found.fastest.variant, found.fastest.value) == ("base", 30.0)


def test_the_baseline_again_is_no_choice(db: Engine) -> None:
    record = build_record(speeds(**{"base": [30.0], "slow": [20.0], "base, again": [31.0]}))
    record["experiment"]["spec"]["control"] = True
    found = figures(db, record)
    assert found.fastest is not None and found.fastest.variant == "base"


def test_a_workload_that_this_version_does_not_know_has_no_figures() -> None:
    assert metrics_for(["of a later version"]) == []
    assert {"decode_tokens_per_second", "perplexity", "weight_bytes"} <= set(metrics_for(["generation", "of a later version"]))
