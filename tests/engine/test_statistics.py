"""Statistics by hand-computed examples, properties, and the coverage that the intervals promise."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import statistics

NUMBERS = st.lists(st.floats(-5, 5), min_size=2, max_size=12)


def test_hodges_lehmann_of_three_numbers_by_hand() -> None:
    # Walsh averages of 1, 2, 9: 1, 1.5, 5, 2, 5.5, 9; their median is (2 + 5) / 2.
    assert statistics.hodges_lehmann([1, 2, 9]) == 3.5
    assert statistics.hodges_lehmann([7]) == 7


def test_one_bad_round_moves_hodges_lehmann_less_than_the_mean() -> None:
    rounds = [0.0, 0.01, -0.01, 0.02, 5.0]
    assert abs(statistics.hodges_lehmann(rounds)) < 0.05 < sum(rounds) / len(rounds)


def test_t_interval_by_hand() -> None:
    # 1, 2, 3: s = 1, t(0.975, 2) = 4.302653, half-width = 4.302653 / sqrt(3) = 2.484138
    assert statistics.t_interval([1, 2, 3], 2.0) == pytest.approx((-0.484138, 4.484138), abs=1e-5)


def test_p_value_by_hand() -> None:
    # t = 2 / (1 / sqrt(3)) = 3.4641 on 2 degrees of freedom: P = 1 - t / sqrt(2 + t^2) = 0.0741799
    assert statistics.p_value([1, 2, 3], 2.0) == pytest.approx(0.0741799, abs=1e-6)


def test_nothing_varies() -> None:
    assert statistics.t_interval([0.5, 0.5, 0.5], 0.5) == (0.5, 0.5)
    assert statistics.p_value([0.5, 0.5, 0.5], 0.5) == 0.0
    assert statistics.p_value([0.0, 0.0], 0.0) == 1.0
    assert statistics.spread([0.1 + 0.2, 0.3, 0.3]) == 0.0


def test_holm_by_hand() -> None:
    # smallest x 4, next x 3, next x 2 (0.06 < 0.09, so it stays at 0.09), last x 1
    assert statistics.holm([0.03, 0.01, 0.8, 0.03]) == pytest.approx([0.09, 0.04, 0.8, 0.09])
    assert statistics.holm([0.6, 0.6]) == [1.0, 1.0]
    assert statistics.holm([]) == []


def test_ratio_stays_finite() -> None:
    assert statistics.ratio(0.0) == 1.0
    assert math.isfinite(statistics.ratio(1e6)) and statistics.ratio(-1e6) > 0


def test_value_interval_on_the_log_scale_by_hand() -> None:
    # logs -1, 0, 1: s = 1, half-width 2.484138 as above
    low, high = statistics.value_interval([1 / math.e, 1.0, math.e], 1.0)
    assert (low, high) == pytest.approx((math.exp(-2.484138), math.exp(2.484138)), rel=1e-5)


def test_counted_bytes_have_an_interval_of_exactly_their_value() -> None:
    assert statistics.value_interval([538060288.0] * 3, 538060288.0) == (538060288.0, 538060288.0)


def test_value_interval_with_a_zero_is_on_the_plain_scale_and_holds_the_median() -> None:
    assert statistics.value_interval([0.0, 0.0, 0.0], 0.0) == (0.0, 0.0)
    assert statistics.value_interval([0.0, 1.0, 2.0], 1.0) == pytest.approx((1 - 2.484138, 1 + 2.484138), abs=1e-5)
    values = [1.0] * 49 + [1000.0]
    low, high = statistics.value_interval(values, 1.0)
    assert low <= 1.0 <= high


@given(NUMBERS)
def test_turning_the_sign_turns_everything(x: list[float]) -> None:
    centre = statistics.hodges_lehmann(x)
    mirrored = [-v for v in x]
    assert statistics.hodges_lehmann(mirrored) == pytest.approx(-centre, abs=1e-9)
    low, high = statistics.t_interval(x, centre)
    assert statistics.t_interval(mirrored, -centre) == pytest.approx((-high, -low), abs=1e-9)


@given(NUMBERS)
def test_the_interval_excludes_zero_exactly_if_p_is_below_5_percent(x: list[float]) -> None:
    centre = statistics.hodges_lehmann(x)
    low, high = statistics.t_interval(x, centre)
    p = statistics.p_value(x, centre)
    assert low <= centre <= high
    if abs(p - 0.05) > 1e-6 and min(abs(low), abs(high)) > 1e-9:
        assert (low > 0 or high < 0) == (p < 0.05)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_keeps_order_and_only_raises(p_values: list[float]) -> None:
    adjusted = statistics.holm(p_values)
    assert all(p <= a <= 1 for p, a in zip(p_values, adjusted, strict=True))
    by_p = [a for _, a in sorted(zip(p_values, adjusted, strict=True))]
    assert all(a <= b for a, b in pairwise(by_p))


@pytest.mark.parametrize("n", [3, 5, 10])
def test_the_interval_covers_the_truth_in_95_percent_of_experiments(n: int) -> None:
    rng = np.random.default_rng(n)
    hits = 0
    for x in rng.normal(0.1, 0.03, (2000, n)):
        low, high = statistics.t_interval(x, statistics.hodges_lehmann(x))
        hits += low <= 0.1 <= high
    assert 0.935 <= hits / 2000 <= 0.965


def f1(samples: np.ndarray) -> float:
    found, wrong = (samples == 1).sum(), (samples == 0).sum()
    return float(2 * found / (2 * found + wrong))


def test_paired_f1_equals_a_bootstrap_over_the_examples_themselves() -> None:
    from scipy import stats

    rng = np.random.default_rng(1)
    b = rng.choice([1.0, 0.0, -1.0], p=[0.45, 0.2, 0.35], size=300)
    a = np.where(rng.random(300) < 0.15, rng.choice([1.0, 0.0, -1.0], size=300), b)
    centre, low, high, p = statistics.paired_f1(tuple(a), tuple(b))
    assert centre == pytest.approx(math.log(f1(a) / f1(b)))
    other = stats.bootstrap((a, b), lambda x, y: math.log(f1(x) / f1(y)), paired=True, vectorized=False, n_resamples=3000, method="percentile", rng=2)
    assert (low, high) == pytest.approx(tuple(other.confidence_interval), abs=0.1 * (high - low))
    assert p == pytest.approx(2 * min((other.bootstrap_distribution <= 0).mean(), (other.bootstrap_distribution >= 0).mean()), abs=0.03)
    assert statistics.paired_f1(tuple(a), tuple(b)) == (centre, low, high, p), "the same draws every time"


def test_paired_f1_of_equal_and_of_very_different_answers() -> None:
    same = (1.0, 0.0, -1.0, 1.0) * 25
    assert statistics.paired_f1(same, same) == (0.0, 0.0, 0.0, 1.0)
    centre, low, high, p = statistics.paired_f1((1.0, 0.0, 0.0, -1.0) * 50, (1.0, 1.0, 1.0, -1.0) * 50)
    assert centre == pytest.approx(math.log(0.5)) and low < centre < high < -0.3 and p < 0.001
    centre, low, high, p = statistics.paired_f1((1.0,) + (0.0,) * 9, (1.0,) * 10)
    assert all(math.isfinite(x) for x in (centre, low, high, p)), "draws without a single hit are held to a finite number"
