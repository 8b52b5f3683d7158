"""What counts as a drift within a run, what does not, and how often noise is taken for one."""

from __future__ import annotations

import numpy as np
import pytest

from engine import drift
from engine.measurement import Measurement

RISE = [1.0, 1.01, 1.02, 1.03, 1.04, 1.05, 1.07, 1.09, 1.1, 1.11]


def test_the_trend_test_by_hand() -> None:
    # 1..8 rises in all 28 pairs: z = 27 / sqrt(8 * 7 * 21 / 18) = 27 / 8.0829 = 3.3404, p = 0.000837
    assert drift.trend_p(range(1, 9)) == pytest.approx(0.000837, abs=1e-6)
    assert drift.trend_p(range(8, 0, -1)) == drift.trend_p(range(1, 9))
    assert drift.trend_p([1.0] * 20) == 1.0


def test_a_rise_and_a_fall_are_told_by_their_size() -> None:
    assert drift.change(RISE) == pytest.approx(1.1 / 1.01 - 1)
    assert drift.change(RISE[::-1]) == pytest.approx(1.01 / 1.1 - 1)


@pytest.mark.parametrize("samples", [
    [1 + x / 1000 for x in range(30)],  # a sure trend of 2 %: too small to matter
    RISE[:7],  # too few to show one
    [1.0, 1.2] * 10,  # unsteady, and no trend
    [1.0] * 5 + [2.0] + [1.0] * 5,  # one bad sample
    [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0],  # there is no relative change from 0
])  # fmt: skip
def test_what_is_no_drift(samples: list[float]) -> None:
    assert drift.change(samples) is None


def test_only_timings_drift_and_each_is_named_with_its_point() -> None:
    measured = [
        Measurement("ttft_seconds", {"batch": 1}, tuple(RISE)), Measurement("ttft_seconds", {"batch": 4}, (1.0,) * 10),
        Measurement("peak_memory_bytes", {"batch": 1}, tuple(RISE)), Measurement("load_seconds", {}, (3.0,)),
    ]  # fmt: skip
    assert drift.drifting(measured) == [{"metric": "ttft_seconds", "point": {"batch": 1}, "change": 0.0891}]


@pytest.mark.parametrize("noise", [0.01, 0.1, 0.5])
def test_independent_noise_is_hardly_ever_a_drift(noise: float) -> None:
    random = np.random.default_rng(0)
    found = [drift.change(np.exp(random.normal(0, noise, 20)).tolist()) for _ in range(4000)]
    assert sum(f is not None for f in found) <= 10  # 4 are expected of the test alone
