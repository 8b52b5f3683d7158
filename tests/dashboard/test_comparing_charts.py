"""The charts of a comparison: signs, bands and marks mean what they say, and nobody is missing."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from dashboard.charts import changes, scaling, tradeoff
from dashboard.comparing import table
from engine.analysis import frame, summary
from engine.answers.comparison import Comparison, side_by_side
from engine.measurement import Status
from engine.tradeoff import wide
from engine.variant_ref import VariantRef
from tests.dashboard.conftest import finished
from tests.records import build_record

X, Y = "weight_bytes", "decode_tokens_per_second"


def compare(record: dict[str, Any], *positions: int) -> Comparison:
    key = record["experiment"]["id"]
    found = side_by_side({key: record}, [VariantRef(key, p) for p in positions])
    assert found is not None
    return found


def at(found: Comparison) -> pd.DataFrame:
    return frame(found.at(None))


def trace(figure: Any, name: str) -> Any:
    return next(t for t in figure.data if t.name == name)


def test_a_change_has_its_interval_its_band_and_its_line() -> None:
    rows = changes.change_frame(at(compare(finished(), 0, 1, 2)), X)
    figure = changes.changes(rows, X, dark=False)
    bar = trace(figure, "better")
    assert list(bar.x) == [pytest.approx(-75)] and list(bar.y) == [1], "a quarter of the weights: to the left of the line of no change"
    assert list(bar.error_x.array) == [0.0]
    band = figure.layout.shapes[0]
    assert (band.x0, band.x1) == (pytest.approx((1 / 1.005 - 1) * 100), pytest.approx(0.5)), "half a per cent of memory matters to nobody"
    assert any(shape.x0 == shape.x1 == 0 for shape in figure.layout.shapes)
    assert list(trace(figure, "verdict").text) == ["◆ baseline", "−75 % ▲ better", "⊘ did not fit"]


def test_what_is_not_shown_by_the_rounds_has_no_colour_and_without_an_interval_no_filling() -> None:
    noisy = build_record({"base": {Y: [30, 31, 29, 30, 33]}, "near": {Y: [31, 26, 33, 29, 35]}})
    figure = changes.changes(changes.change_frame(at(compare(noisy, 0, 1)), Y), Y, dark=False)
    assert [t.name for t in figure.data if t.type == "bar"] == ["neither"]
    once = build_record({"base": {Y: [30.0]}, "fast": {Y: [60.0]}})
    rows = changes.change_frame(at(compare(once, 0, 1)), Y)
    bar = trace(changes.changes(rows, Y, dark=False), "neither")
    assert list(bar.marker.color) == ["#ffffff"] and "too few rounds" in changes.describe(rows, Y)
    marks = trace(changes.changes(rows, Y, dark=False, forest=True), "neither")
    assert list(marks.marker.symbol) == ["square-open"]


def test_the_headline_counts_verdicts() -> None:
    rows = changes.change_frame(at(compare(finished(), 0, 1, 2)), "perplexity")
    assert changes.headline(rows, "perplexity") == "Perplexity: 1 worse, 1 failed"
    assert "1 %, within which a difference does not matter" in changes.describe(rows, "perplexity")
    assert list(changes.table(rows, "perplexity")["Verdict"]) == ["◆ baseline", "▼ worse", "✖ failed"]


def test_the_reader_chooses_scale_front_and_colour_of_the_trade_off() -> None:
    points = wide(summary(finished()), X, Y)
    plain = tradeoff.tradeoff(points, X, Y, {}, dark=False)
    assert (plain.layout.xaxis.type, plain.layout.yaxis.type) == ("linear", "linear")
    choices = tradeoff.Choices(log_x=True, log_y=True, front=False, crosshair=True, groups={"float32": "H100", "small": "H200"})
    figure = tradeoff.tradeoff(points, X, Y, {}, dark=False, choices=choices)
    assert (figure.layout.xaxis.type, figure.layout.yaxis.type) == ("log", "log") and "log scale" in figure.layout.xaxis.title.text
    assert {"H200", "baseline"} <= {t.name for t in figure.data} and "Pareto front" not in {t.name for t in figure.data}
    lines = [(s.x0, s.y0) for s in figure.layout.shapes]
    assert any(x == pytest.approx(4e8 / 2**20) for x, _ in lines) and any(y == pytest.approx(30) for _, y in lines), "through the baseline"


def test_what_ran_out_of_memory_is_marked_where_memory_ends() -> None:
    record = build_record(
        {"base": {"peak_memory_bytes": [6e8] * 3, Y: [30, 31, 29]}, "lost": {"peak_memory_bytes": [Status.OUT_OF_MEMORY] * 3, Y: [Status.OUT_OF_MEMORY] * 3}}
    )
    points = wide(summary(record), "peak_memory_bytes", Y)
    figure = tradeoff.tradeoff(points, "peak_memory_bytes", Y, {}, dark=False, capacity=2**30)
    mark = trace(figure, "did not fit")
    assert figure.layout.xaxis.title.text.endswith("(GiB)") and list(mark.x) == [1.0] and mark.customdata[0][0] == "lost"
    low, high = figure.layout.yaxis.range
    assert low < mark.y[0] < high


def test_each_set_of_conditions_has_a_front_of_its_own() -> None:
    rows = summary(build_record({n: {X: [w] * 3, Y: [s] * 3} for n, (w, s) in {"a": (4e8, 30), "b": (2e8, 40), "c": (1e8, 50)}.items()}))
    assert wide(rows, X, Y)["on_front"].tolist() == [False, False, True]
    apart = wide(rows.assign(alike=[{"a": 0, "b": 0, "c": 1}[v] for v in rows["variant"]]), X, Y)
    assert apart["on_front"].tolist() == [False, True, True]


def test_a_sweep_keeps_the_other_numbers_of_the_point() -> None:
    record = build_record({"base": {f"{Y}@{batch}": [30.0 * batch] * 3 for batch in (1, 4, 16)}})
    for run in record["runs"]:  # at batch 4 a second prompt length too
        run["measurements"] += [m | {"point": m["point"] | {"prompt_tokens": 999}} for m in run["measurements"] if m["point"]["batch"] == 4]
    rows = summary(record)
    assert scaling.sweep_keys(rows, Y) == ["batch", "prompt_tokens"]
    swept = scaling.sweep_frame(rows, Y, "batch", {0: {"batch": 1, "prompt_tokens": 128, "new_tokens": 64}})
    assert swept["x"].tolist() == [1, 4, 16]
    assert scaling.sweep_frame(rows, Y, "prompt_tokens", {0: {"batch": 4, "prompt_tokens": 128, "new_tokens": 64}})["x"].tolist() == [128, 999]
    figure = scaling.scaling(swept, "batch", Y, dark=False, bands=True)
    assert [t.fill for t in figure.data if t.name == "95 % interval"] == ["toself"] and figure.data[-1].error_y.array is None


def test_only_what_differs_is_in_the_configuration() -> None:
    record = finished()
    record["variants"][1]["stack"] = [{"technique": "bnb_4bit", "options": {"double_quant": True}}]
    found = compare(record, 0, 1)
    shown, alike = table.configuration(found, {record["experiment"]["id"]: record}, only_differences=True)
    assert shown.to_dict("list") == {"Setting": ["techniques"], "★ float32": ["the model as stored"], "small": ["bnb_4bit(double_quant=True)"]}
    everything, none = table.configuration(found, {record["experiment"]["id"]: record}, only_differences=False)
    assert len(everything) == 1 + alike and none == 0 and {"device", "torch", "model name", "workload batch sizes"} <= set(everything["Setting"])


def test_quality_stands_beside_speed_though_it_is_the_same_in_all() -> None:
    record = build_record({"base": {Y: [30.0] * 3}, "same": {Y: [60.0] * 3}})
    found = compare(record, 0, 1)
    shown, _ = table.verdict_table(found, found.at(None), only_differences=True)
    assert shown.set_index("Metric").loc["Perplexity"].tolist() == ["– not measured", "– not measured"]
