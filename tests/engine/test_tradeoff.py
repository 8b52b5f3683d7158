"""Pareto front and the table behind the trade-off chart."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.analysis import summary
from engine.tradeoff import pareto_front, wide
from tests.records import build_record

RECORD = build_record(
    {
        "base": {"weight_bytes": [400.0] * 3, "decode_tokens_per_second": [10.0] * 3, "decode_tokens_per_second@4": [30.0] * 3},
        "fast": {"weight_bytes": [200.0] * 3, "decode_tokens_per_second": [20.0] * 3, "decode_tokens_per_second@4": [25.0] * 3},
        "small": {"weight_bytes": [100.0] * 3, "decode_tokens_per_second": [5.0] * 3, "decode_tokens_per_second@4": [15.0] * 3},
        "huge": {},
    },
    runs={("huge", r): {"status": "out_of_memory", "reason": "80 GiB needed"} for r in range(3)},
)


def test_one_row_per_variant_and_the_front() -> None:
    table = wide(summary(RECORD), "weight_bytes", "decode_tokens_per_second")
    assert table["variant"].tolist() == ["base", "fast", "small", "huge"]
    assert table["on_front"].tolist() == [False, True, True, False]
    assert table["x"].tolist()[:3] == [400.0, 200.0, 100.0] and table["y"].tolist()[:3] == [10.0, 20.0, 5.0]
    assert table["y_verdict"].tolist() == ["baseline", "better", "worse", "did not fit"]
    huge = table.iloc[3]
    assert math.isnan(huge["x"]) and (huge["status"], huge["reason"]) == ("out_of_memory", "80 GiB needed")
    assert table["x_ratio"].tolist()[1] == pytest.approx(0.5)


def test_a_point_is_chosen_by_its_label() -> None:
    label = "batch=4, prompt_tokens=128, new_tokens=64"
    table = wide(summary(RECORD), "weight_bytes", "decode_tokens_per_second", y_point=label)
    assert table["y"].tolist()[:3] == [30.0, 25.0, 15.0]
    assert table["on_front"].tolist() == [True, True, True, False]
    with pytest.raises(ValueError, match="decode_tokens_per_second has no point 'batch=9'"):
        wide(summary(RECORD), "weight_bytes", "decode_tokens_per_second", y_point="batch=9")


def test_a_metric_that_nobody_measured_puts_nobody_on_the_front() -> None:
    table = wide(summary(RECORD), "weight_bytes", "perplexity")
    assert table["y"].isna().all() and not table["on_front"].any()
    assert table["status"].tolist() == ["not measured", "not measured", "not measured", "out_of_memory"]
    assert wide(summary(RECORD).iloc[:0], "weight_bytes", "perplexity").empty


def test_equal_points_share_the_front_and_missing_ones_beat_nobody() -> None:
    front = pareto_front([1.0, 1.0, 0.0, 2.0], [1.0, 1.0, math.nan, 1.0], False, False)
    assert front.tolist() == [True, True, False, False]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=15), st.booleans(), st.booleans())
def test_the_front_is_what_the_definition_says(points: list[tuple[int, int]], x_higher: bool, y_higher: bool) -> None:
    def beats(a: tuple[int, int], b: tuple[int, int]) -> bool:
        at_least = (a[0] >= b[0] if x_higher else a[0] <= b[0]) and (a[1] >= b[1] if y_higher else a[1] <= b[1])
        return at_least and a != b

    front = pareto_front(np.array(points)[:, 0], np.array(points)[:, 1], x_higher, y_higher)
    assert front.tolist() == [not any(beats(a, b) for a in points) for b in points]
