"""Which runs count, and that those which do not are named with the reason: contended, throttled, drifting."""

from __future__ import annotations

from typing import Any

import pytest

from engine.analysis import rows
from tests.engine.test_verdicts import compared
from tests.records import POINT, build_record


def test_contended_rounds_are_left_out_and_said_so() -> None:
    busy = {"details": {"contended": "2 other processes on the GPU"}}
    row = compared([1.0] * 4, [0.5, 0.5, 0.5, 50.0], runs={("fast", 3): busy})
    assert (row.value, row.n_rounds, row.verdict) == (0.5, 3, "better")
    assert row.reason == "1 of 4 rounds left out: 2 other processes on the GPU"
    row = compared([1.0, 1.0, 1.0, 9.0], [0.5] * 4, runs={("base", 3): busy})
    assert (row.n_rounds, row.ratio) == (4, pytest.approx(0.5))
    assert row.reason == "of the baseline, 1 of 4 rounds left out: 2 other processes on the GPU"
    row = compared([1.0], [0.5], runs={("fast", 0): busy})
    assert (row.value, row.status, row.verdict) == (None, "not measured", "not measured")
    assert row.reason == "1 of 1 round left out: 2 other processes on the GPU"


@pytest.mark.parametrize(("metric", "counts"), [("ttft_seconds", False), ("peak_memory_bytes", True)])
def test_a_throttled_run_is_left_out_of_times_and_kept_for_memory(metric: str, counts: bool) -> None:
    hot = {"details": {"throttled": "GPU too hot (hardware) after the run"}}
    row = compared([1.0] * 4, [0.5, 0.5, 0.5, 50.0], metric, runs={("fast", 3): hot})
    assert row.n_rounds == (4 if counts else 3)
    assert row.reason == (None if counts else "1 of 4 rounds left out: GPU too hot (hardware) after the run")


def drifting(point: dict[str, Any], change: float = 0.083) -> dict[str, Any]:
    return {"details": {"drifting": [{"metric": "ttft_seconds", "point": point, "change": change}]}}


def test_a_run_that_drifts_is_left_out_of_the_very_timing_that_drifts() -> None:
    times = {"ttft_seconds": [1.0] * 4, "ttft_seconds@4": [2.0] * 4, "load_seconds": [3.0] * 4}
    record = build_record({"base": times, "fast": times}, runs={("fast", 1): drifting(POINT | {"batch": 4})})
    found = {(r.metric, r.point.get("batch")): r for r in rows(record) if r.variant == "fast"}
    assert {key: r.n_rounds for key, r in found.items()} == {("ttft_seconds", 1): 4, ("ttft_seconds", 4): 3, ("load_seconds", None): 4}
    assert found["ttft_seconds", 4].reason == "1 of 4 rounds left out: drifting, +8% from the first to the last third of its samples"


def test_a_trend_that_most_rounds_show_belongs_to_the_work() -> None:
    everywhere = {("fast", r): drifting(POINT) for r in range(3)}
    row = compared([1.0] * 3, [0.5] * 3, runs=everywhere)
    assert (row.n_rounds, row.verdict, row.reason) == (3, "better", None)
    row = compared([1.0], [0.5], runs={("fast", 0): drifting(POINT)})
    assert (row.value, row.verdict) == (0.5, "too few rounds"), "it may be the work or the run; there is nothing else to show"
    row = compared([1.0] * 4, [0.5] * 4, runs={("fast", r): drifting(POINT) for r in range(3)})
    assert row.n_rounds == 4, "one that just missed the threshold is not the only good one"


@pytest.mark.parametrize("status", ["queued", "failed"])
def test_rounds_without_the_timing_say_nothing_of_its_trend(status: str) -> None:
    runs: dict[Any, Any] = {("fast", r): drifting(POINT) for r in range(3)} | {("fast", 3): {"status": status, "measurements": []}}
    row = compared([1.0] * 4, [0.5] * 4, runs=runs)
    assert row.n_rounds == 3


def test_a_hot_gpu_changes_energy_too() -> None:
    hot = {"details": {"throttled": "GPU too hot"}}
    assert compared([1.0] * 4, [0.5] * 4, "energy_joules_per_token", runs={("fast", 3): hot}).n_rounds == 3


@pytest.mark.parametrize("drifting", [3, [{"metric": "ttft_seconds"}, 7], [{"metric": "ttft_seconds", "point": POINT}]])
def test_details_of_another_program_harm_nothing(drifting: Any) -> None:
    assert compared([1.0] * 3, [0.5] * 3, runs={("fast", 0): {"details": {"drifting": drifting}}}).n_rounds == 3
