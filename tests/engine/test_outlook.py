"""When the queue will be done: turns, what is timed, what is not, and devices that do not wait for each other."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from db.open_runs import OpenExperiment
from engine.outlook import outlook

NOW = datetime(2026, 1, 2, 3, 4, 5)


def waiting(name: str, left: dict[str, int], seconds: dict[str, float] | None = None, device: str | None = "here/cpu", running: float | None = None) -> Any:
    """running: for how many seconds a speed run of it has been going on."""
    runs = () if running is None else ({"started_at": NOW - timedelta(seconds=running), "kind": "speed"},)
    return OpenExperiment(name, name, None, "a model", "a CPU", "cpu", device, 1, {}, left, seconds or {}, runs)


def nothing(model: str, device: str) -> dict[str, float]:
    return {}


def test_each_waits_for_those_before_it_on_its_device() -> None:
    found = outlook(
        [waiting("a", {"speed": 3}, {"speed": 10.0}, running=4.0), waiting("b", {"speed": 2}, {"speed": 20.0}),
         waiting("c", {"speed": 1}, {"speed": 5.0}, device="here/cuda:0"), waiting("d", {"speed": 1}, {"speed": 5.0})],
        nothing, NOW,
    )  # fmt: skip
    assert [f.position for f in found] == [0, 2, 1, 3]
    assert [f.seconds_left for f in found] == [36.0, 40.0, 5.0, 5.0]
    assert [f.starts_in for f in found] == [0.0, 36.0, 0, 76.0]
    assert [f.before for f in found] == [0, 3, 0, 5]


def test_a_run_that_takes_longer_than_usual_is_expected_to_end_now() -> None:
    (found,) = outlook([waiting("a", {}, {"speed": 10.0}, running=99.0)], nothing, NOW)
    assert found.seconds_left == 0.0


def test_without_own_times_those_of_the_past_count_and_a_kind_without_any_is_as_the_others() -> None:
    def past(model: str, device: str) -> dict[str, float]:
        assert (model, device) == ("a model", "cpu")
        return {"speed": 10.0, "quality": 30.0}

    assert [f.seconds_left for f in outlook([waiting("a", {"speed": 1, "quality": 1})], past, NOW)] == [40.0]
    assert [f.seconds_left for f in outlook([waiting("a", {"profile": 1})], past, NOW)] == [20.0]


def test_where_nothing_was_timed_nothing_is_said_of_it_nor_of_what_waits_for_it() -> None:
    first, second = outlook([waiting("a", {"speed": 1}), waiting("b", {"speed": 1}, {"speed": 5.0})], nothing, NOW)
    assert first.seconds_left is None and second.starts_in is None and second.seconds_left == 5.0


def test_what_has_not_begun_waits_for_the_fitting_device_with_the_fewest_before_it() -> None:
    busy = [waiting("a", {"speed": 9}, {"speed": 10.0}, device="there/cpu"), waiting("b", {"speed": 1}, {"speed": 10.0}, device="here/cpu"),
            waiting("c", {"speed": 1}, {"speed": 10.0}, device="there/cpu")]  # fmt: skip
    *_, last = outlook([*busy, waiting("d", {"speed": 1}, {"speed": 10.0}, device=None)], nothing, NOW)
    assert (last.position, last.starts_in) == (2, 10.0)
