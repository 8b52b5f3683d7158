"""The simulation of tests/benchmarks, with few experiments: the promised error rates hold within what so few can show.

Every bound is the 99.9 % quantile of the count that the promised rate gives, so a sound rule passes with almost every seed.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from engine.specs import looks
from tests.benchmarks.simulate_verdicts import (
    DRIFTS,
    LOUD,
    NOISE,
    Plan,
    control_fails,
    experiment,
    share_of_runs_that_drift,
)

N = 200


def at_most(rate: float, n: int = N) -> int:
    return int(binom.ppf(0.999, n, rate))


@pytest.mark.parametrize("kind", DRIFTS)
def test_equal_variants_are_told_apart_in_one_of_twenty(kind: str) -> None:
    random = np.random.default_rng(1)
    found = [experiment(Plan(kind, noise=LOUD), random) for _ in range(N)]
    assert 0 < sum(f.told for f in found) <= at_most(0.05)
    assert sum(not f.held for f in found) <= at_most(0.07)


@pytest.mark.parametrize(("kind", "power"), [("none", 0.99), ("linear", 0.99), ("autocorrelated", 0.90)])
def test_an_effect_of_three_percent_is_found(kind: str, power: float) -> None:
    random = np.random.default_rng(2)
    found = [experiment(Plan(kind, 0.03), random) for _ in range(N)]
    assert sum(f.verdict != "worse" for f in found) <= at_most(1 - power)


@pytest.mark.parametrize("kind", DRIFTS)
def test_four_looks_are_wrong_no_more_often_than_one(kind: str) -> None:
    random, n = np.random.default_rng(3), 120
    found = [experiment(Plan(kind, rounds=20, noise=LOUD), random, looks(20)) for _ in range(n)]
    assert 0 < sum(f.told for f in found) <= at_most(0.05, n)
    assert sum(not f.held for f in found) <= at_most(0.05, n)


def test_without_spending_the_error_four_looks_would_be_wrong_too_often() -> None:
    """What the schedule is for: the same experiments, each look at 5 %, come out above the bound that the rule keeps."""
    random, n, wrong = np.random.default_rng(3), 120, 0
    for _ in range(n):
        seed = int(random.integers(2**31))
        wrong += any(experiment(Plan(rounds=r, noise=LOUD), np.random.default_rng(seed)).told for r in looks(20))
    assert wrong > at_most(0.05, n)


def test_an_effect_is_found_at_the_first_look_and_rounds_are_saved() -> None:
    random = np.random.default_rng(4)
    found = [experiment(Plan(effect=0.03, rounds=20), random, looks(20)) for _ in range(50)]
    assert {(f.verdict, f.rounds) for f in found} == {("worse", 5)}


@pytest.mark.parametrize("kind", DRIFTS)
def test_a_sound_control_fails_in_one_of_twenty(kind: str) -> None:
    random = np.random.default_rng(5)
    assert sum(control_fails(Plan(kind, noise=LOUD), random) for _ in range(100)) <= at_most(0.05, 100)


@pytest.mark.parametrize("kind", DRIFTS)
@pytest.mark.parametrize("noise", [NOISE, LOUD])
def test_a_run_that_drifts_no_more_than_the_machine_is_kept(kind: str, noise: float) -> None:
    random = np.random.default_rng(6)
    left_out = sum(share_of_runs_that_drift(Plan(kind, noise=noise), random) for _ in range(100)) / 100
    assert left_out <= at_most(0.002, 1000) / 1000  # of ten runs each
