"""Every iteration is drawn where it belongs: warm-ups before the first, rounds apart, what lies far away marked and counted."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from dashboard.charts import iterations, samples
from tests.records import build_record

METRIC = "ttft_seconds"


def record() -> dict[str, Any]:
    made = build_record({"base": {METRIC: [0.1, 0.2]}, "other": {METRIC: [0.3, 0.4]}})
    for run in made["runs"]:
        for m in run["measurements"]:
            level = m["value"]
            m["warmups"], m["samples"] = [level * 3, level * 2], [level * f for f in (1.0, 1.01, 0.99, 1.02, 0.98, 4.0)]
    return made


def frame(variant: str = "base") -> pd.DataFrame:
    made = record()
    point = samples.point_label(made["runs"][0]["measurements"][0]["point"])
    return iterations.iteration_frame(samples.sample_frame(made, METRIC, point), variant)


def test_samples_count_from_one_and_warmups_lie_before_them() -> None:
    first = frame()[frame()["round"] == 0]
    assert list(first["iteration"]) == [-1, 0, 1, 2, 3, 4, 5, 6]
    assert list(first["warmup"]) == [True, True] + [False] * 6
    assert list(first["value"][:3]) == [0.1 * 3, 0.1 * 2, 0.1]


def test_what_is_far_from_its_own_run_is_marked_and_stays() -> None:
    found = frame()
    assert list(found[found["far"]]["iteration"]) == [6, 6]
    figure = iterations.iteration_lines(found, METRIC, dark=False)
    assert sum(len(trace.x) for trace in figure.data) == len(found) == 16
    assert [symbol for trace in figure.data for symbol in trace.marker.symbol].count("triangle-up") == 2
    assert "2 lie far from the others of the same run" in iterations.describe(found, METRIC)


def test_few_samples_and_equal_samples_have_nothing_far_away() -> None:
    assert not iterations._far(pd.Series([1.0, 9.0, 1.0])).any()
    assert not iterations._far(pd.Series([1.0] * 9)).any()


def test_each_round_is_a_line_and_the_warmup_is_shaded() -> None:
    for dark in (False, True):
        figure: go.Figure = iterations.iteration_lines(frame(), METRIC, dark=dark)
        assert [trace.name for trace in figure.data] == ["round 1", "round 2"]
        (shade,) = figure.layout.shapes
        assert (shade.x0, shade.x1) == (-1.5, 0.5)
        assert figure.layout.annotations[0].text == "warm-up"


def test_the_table_has_every_iteration_with_its_kind() -> None:
    table = iterations.table(frame(), METRIC)
    assert list(table["Kind"][:3]) == ["warm-up, not counted", "warm-up, not counted", "counted"]
    assert table["Kind"].iloc[7] == "counted, far from the others"


def test_without_samples_it_says_so() -> None:
    empty = frame("none-such")
    assert iterations.describe(empty, METRIC) == "No samples yet."
    assert not iterations.iteration_lines(empty, METRIC, dark=False).data
