"""Charts: every variant is in them, at its numbers, and what could not be drawn says why."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import pytest

from dashboard.charts import memory, samples, style, tradeoff
from engine.analysis import summary
from engine.measurement import Status
from engine.metrics import METRICS
from engine.registry import discover
from engine.tradeoff import wide
from tests.dashboard.conftest import HOSTILE, finished
from tests.records import build_record

X, Y = "weight_bytes", "decode_tokens_per_second"


@pytest.fixture(scope="module")
def found() -> pd.DataFrame:
    return summary(finished())


def scatter(frame: pd.DataFrame, x: str = X, y: str = Y, *, dark: bool = False, **options: Any) -> tuple[go.Figure, pd.DataFrame]:
    points = wide(frame, x, y)
    return tradeoff.tradeoff(points, x, y, {"small": "quantization"}, dark=dark, **options), points


def marks(figure: go.Figure) -> list[go.Scatter]:
    return [trace for trace in figure.data if "markers" in trace.mode]


def strip(figure: go.Figure) -> list[str]:
    return [a.text for a in figure.layout.annotations if a.name == "not drawn"]


def test_every_variant_is_drawn_or_says_why_not(found: pd.DataFrame) -> None:
    figure, points = scatter(found)
    assert sum(len(trace.x) for trace in marks(figure)) + len(strip(figure)) == len(points) == 3
    assert strip(figure) == ["⊘ <b>huge</b> did not fit (out of memory)"]
    assert "huge (did not fit (out of memory))" in tradeoff.describe(points, X, Y)


def test_marks_stand_at_their_numbers_in_units_of_people(found: pd.DataFrame) -> None:
    figure, _ = scatter(found)
    (small,) = [t for t in marks(figure) if t.name == "quantization"]
    assert list(small.x) == pytest.approx([1e8 / 2**20])
    assert list(small.y) == pytest.approx([60.0])
    assert figure.layout.xaxis.title.text == "Weights (MiB)"
    assert figure.layout.yaxis.title.text == "Decode throughput (tok/s)"
    assert small.error_y.array[0] > 0 and small.error_y.arrayminus[0] > 0
    assert small.error_x.array[0] == pytest.approx(0, abs=1e-9), "counted bytes do not vary"


def test_the_baseline_and_families_differ_in_symbol_too(found: pd.DataFrame) -> None:
    figure, _ = scatter(found)
    assert {t.name: t.marker.symbol for t in marks(figure)} == {"quantization": "square", "baseline": "diamond"}


@pytest.fixture
def families_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Makes techniques of the given families known, beside those there are."""

    def known(*families: str) -> None:
        extra = {name: type(name, (), {"family": name}) for name in families}
        techniques = {**discover().techniques, **extra}
        monkeypatch.setattr(style, "discover", lambda: SimpleNamespace(techniques=techniques))
        style.looks.cache_clear()

    yield known
    style.looks.cache_clear()


def test_a_family_that_is_added_gets_a_look_of_its_own_without_an_edit(families_of: Callable[..., None]) -> None:
    before = style.looks()
    families_of("distillation", "zzz")
    there = style.looks()
    assert there.keys() - before.keys() == {"distillation", "zzz"}
    assert {t.family for t in discover().techniques.values()} <= set(there)
    assert len({entry.symbol for entry in there.values()}) == len({entry.colour for entry in there.values()}) == len(there)
    assert style.look("distillation").label == "distillation"


def test_with_too_many_families_the_last_still_have_their_names(families_of: Callable[..., None]) -> None:
    families_of(*(f"family{i}" for i in range(9)))
    assert [style.look(f"family{i}").label for i in range(9)] == [f"family{i}" for i in range(9)]
    assert style.look("family8").symbol == style.look("other").symbol


def test_a_mark_is_never_without_its_quality(found: pd.DataFrame) -> None:
    texts = tradeoff.quality_texts(found, "perplexity")
    assert texts["huge"] == "Perplexity: not measured"
    figure, _ = scatter(found, beside=texts)
    for trace in marks(figure):
        assert all(re.search(r"Perplexity: \d", text) for _, text in trace.customdata)


@pytest.mark.parametrize(("x", "y", "shape"), [(X, Y, "hv"), (Y, X, "vh"), (X, "ttft_seconds", "hv")])
def test_the_front_is_stepped_towards_what_is_worse(x: str, y: str, shape: str) -> None:
    """Between two points of the front, the better of them in x is what can be had."""
    sizes, speeds = {"a": 4e8, "b": 2e8, "c": 1e8}, {"a": 40.0, "b": 30.0, "c": 20.0}
    record = build_record({
        name: {X: [sizes[name]] * 3, Y: [speeds[name]] * 3, "ttft_seconds": [8 / speeds[name]] * 3} for name in sizes
    })  # fmt: skip
    points = wide(summary(record), x, y)
    (line,) = [t for t in tradeoff.tradeoff(points, x, y, {}, dark=False).data if t.name == "Pareto front"]
    assert line.line.shape == shape
    assert list(line.x) == sorted(line.x)
    assert len(line.x) == 3


def test_an_axis_is_logarithmic_only_for_a_wide_spread() -> None:
    assert not style.scale(Y, [1.0, 50.0]).log
    assert style.scale(Y, [1.0, 51.0]).log
    assert not style.scale("kl_divergence", [0.0, 51.0]).log, "zero has no place on it"
    assert not style.scale(Y, []).log


@pytest.mark.parametrize(("metric", "value", "drawn", "unit"), [
    ("weight_bytes", 3 * 2**30, 3.0, "GiB"), ("weight_bytes", 2**20, 1.0, "MiB"), ("ttft_seconds", 0.25, 250.0, "ms"),
    ("ttft_seconds", 2.0, 2.0, "s"), ("top1_agreement", 0.5, 50.0, "%"), ("decode_tokens_per_second", 7.0, 7.0, "tok/s"),
])  # fmt: skip
def test_units_of_axes(metric: str, value: float, drawn: float, unit: str) -> None:
    found = style.scale(metric, [value])
    assert value * found.factor == pytest.approx(drawn)
    assert found.title == f"{METRICS[metric].label} ({unit})"


def test_intervals_are_in_sight() -> None:
    rounds = {"slow": [28.5, 30.0, 31.5], "fast": [38.5, 40.0, 41.5]}
    figure, points = scatter(summary(build_record({name: {X: [4e8] * 3, Y: values} for name, values in rounds.items()})))
    low, high = figure.layout.yaxis.range
    assert low < points["y_low"].min() < 28.5 and high > points["y_high"].max() > 41.5


def test_a_very_long_interval_does_not_squeeze_the_marks() -> None:
    steady, wild = {X: [4e8] * 3, Y: [30.0, 30.5, 29.5]}, {X: [1e8] * 3, Y: [10.0, 40.0, 70.0]}
    figure, points = scatter(summary(build_record({"steady": steady, "wild": wild})))
    assert points["y_high"].max() - points["y_low"].min() > 100
    low, high = figure.layout.yaxis.range
    assert low < 30 < 40 < high and high - low < 30


@pytest.mark.case("T31")
def test_text_of_others_is_not_read_as_html() -> None:
    record = build_record({"base": {X: [4e8], Y: [30.0]}, HOSTILE[:100]: {X: [1e8], Y: [40.0]}, "<b>gone</b>": {Y: [Status.OUT_OF_MEMORY]}})
    frame = summary(record)
    figure, _ = scatter(frame)
    bars = memory.memory_bars(memory.memory_frame(frame, None), dark=False)
    for text in (figure.to_json(), bars.to_json()):
        assert "<img" not in text and "\\u003cimg" not in text.lower()
    assert strip(figure)[0].startswith("⊘ <b>&lt;b&gt;gone&lt;/b&gt;</b>")


@pytest.mark.parametrize("dark", [False, True])
def test_charts_bring_their_own_colours(found: pd.DataFrame, dark: bool) -> None:
    frame = samples.sample_frame(finished(), Y, "batch=1, prompt_tokens=128, new_tokens=64")
    figures = [scatter(found, dark=dark)[0], memory.memory_bars(memory.memory_frame(found, None), dark=dark),
               samples.sample_strips(frame, Y, dark=dark)]  # fmt: skip
    for figure in figures:
        assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == style.theme(dark).background
        assert "#00000" not in figure.to_json(), "placeholders that only one frontend replaces"


def test_memory_bars_say_what_is_missing(found: pd.DataFrame) -> None:
    frame = memory.memory_frame(found, None)
    figure = memory.memory_bars(frame, dark=False)
    (weights,) = [t for t in figure.data if t.name == "Weights"]
    assert list(weights.x) == pytest.approx([4e8 / 2**20, 1e8 / 2**20, 0])
    assert list(weights.text) == ["381 MiB", "95.4 MiB", "not measured"]
    assert figure.layout.xaxis.title.text == "Memory (MiB)"
    assert memory.describe(frame) == "Weights: from 95.4 MiB (small) to 381 MiB (float32)."


def test_bars_begin_at_zero_so_their_axis_never_claims_to_be_logarithmic() -> None:
    record = build_record({"base": {"weight_bytes": [5e8] * 3, "kv_cache_bytes": [7e6] * 3, Y: [1.0] * 3}})
    figure = memory.memory_bars(memory.memory_frame(summary(record), None), dark=False)
    assert figure.layout.xaxis.title.text == "Memory (MiB)"
    assert figure.layout.xaxis.type is None and figure.layout.xaxis.range[0] == 0


def test_samples_are_all_there_with_warm_ups_apart() -> None:
    frame = samples.sample_frame(finished(), Y, "batch=1, prompt_tokens=128, new_tokens=64")
    assert len(frame) == 2 * 5 * 2, "two variants, five rounds, a sample and a warm-up each"
    figure = samples.sample_strips(frame, Y, dark=False)
    assert {t.name: len(t.x) for t in figure.data} == {
        "counted sample": 10, "warm-up, not counted": 10, "median of the counted samples": 2,
    }  # fmt: skip
    assert list(figure.layout.yaxis.ticktext) == ["float32", "small"]


def test_samples_of_rounds_that_are_left_out_are_drawn_apart_and_not_counted() -> None:
    """The same decision as the verdicts': a contended round and a failed run, but not a later point that ran out of memory."""
    record = finished()
    record["runs"][0]["details"] = {"contended": "others used the device"}
    failed = next(r for r in record["runs"] if r["round"] == 1 and r["variant"] == 1)
    failed["status"] = "failed"
    died = next(r for r in record["runs"] if r["round"] == 2 and r["variant"] == 1)
    died["status"] = "out_of_memory"
    frame = samples.sample_frame(record, Y, "batch=1, prompt_tokens=128, new_tokens=64")
    (row,) = summary(record).query("metric == @Y and variant == 'small' and point_label.str.startswith('batch=1,')").itertuples()
    assert frame[frame["counted"]].groupby("variant").size().to_dict() == {"float32": 4, "small": row.n_samples} == {"float32": 4, "small": 4}
    figure = samples.sample_strips(frame, Y, dark=False)
    assert {t.name: len(t.x) for t in figure.data} == {
        "counted sample": 8, "round left out, not counted": 2, "warm-up, not counted": 10, "median of the counted samples": 2,
    }  # fmt: skip
    assert "8 samples of 2 variants in 5 rounds count; 10 warm-up samples and 2 of rounds that were left out do not" in samples.describe(frame)


def test_nothing_measured_is_no_error() -> None:
    frame = summary(build_record({"base": {Y: [Status.OUT_OF_MEMORY]}}))
    figure, points = scatter(frame)
    assert marks(figure) == [] and len(strip(figure)) == len(points) == 1
    assert memory.describe(memory.memory_frame(frame, None)) == "No memory was measured yet."
    empty = samples.sample_frame(finished(), Y, "nowhere")
    assert samples.describe(empty) == "No samples yet."
    samples.sample_strips(empty, Y, dark=True)


def test_what_was_measured_once_is_hollow_and_said_to_be() -> None:
    once = summary(build_record({"base": {X: [4e8] * 3, Y: [30.0, 31.0, 29.0]}, "small": {X: [1e8], Y: [40.0]}}))
    figure, points = scatter(once)
    assert {t.name: t.marker.symbol for t in marks(figure)} == {"baseline": "diamond", "quantization": ("square-open",)}
    assert "Hollow: 1 measured in one round only" in tradeoff.describe(points, X, Y)
    assert "Hollow" not in tradeoff.describe(wide(summary(finished()), X, Y), X, Y)


PEAK = "peak_memory_bytes"


@pytest.mark.parametrize(("largest", "lost", "there"), [(30e9, False, True), (4e9, False, False), (4e9, True, True)])
def test_the_end_of_the_memory_is_drawn_where_it_says_something(largest: float, lost: bool, there: bool) -> None:
    variants: dict[str, Any] = {"base": {PEAK: [largest] * 3, Y: [30.0] * 3}, "small": {PEAK: [largest / 2] * 3, Y: [20.0] * 3}}
    if lost:
        variants["huge"] = {PEAK: [Status.OUT_OF_MEMORY] * 3, Y: [Status.OUT_OF_MEMORY] * 3}
    frame = summary(build_record(variants))
    scattered, _ = scatter(frame, PEAK, capacity=80e9)
    bars = memory.memory_bars(memory.memory_frame(frame, None), dark=False, capacity=80e9)
    for figure in (scattered, bars):
        assert bool(figure.layout.shapes) is there
        assert any("in the device" in a.text for a in figure.layout.annotations) is there
        assert figure.layout.xaxis.range[1] * 2**30 > 80e9 if there else figure.layout.xaxis.range[1] * 2**30 < 8e9
    crosses = [t for t in bars.data if t.name == "did not fit"]
    assert [list(t.y) for t in crosses] == ([[2]] if lost else [])


def test_twins_hold_what_is_drawn(found: pd.DataFrame) -> None:
    points = wide(found, X, Y)
    twin = tradeoff.table(points, X, Y).set_index("Variant")
    assert twin.loc["small", "Weights"] == "95.4 MiB" and twin.loc["small", "Change of weights"] == "−75 %"
    assert twin.loc["small", "Decode throughput"].startswith("60 tok/s (")
    assert twin.loc["huge", "Status"] == "⊘ did not fit (out of memory)" and twin.loc["huge", "Remark"] == "cuda: tried to allocate 20 GiB"
    assert list(tradeoff.table(wide(found, X, X), X, X).columns) == ["Variant", "Weights", "Change of weights", "Rounds", "On the front", "Status", "Remark"]
    bars = memory.table(memory.memory_frame(found, None)).set_index("Variant")
    assert bars.loc["float32", "Weights"].startswith("381 MiB") and bars.loc["huge", "Weights"].startswith("⊘ did not fit")
    frame = samples.sample_frame(finished(), Y, "batch=1, prompt_tokens=128, new_tokens=64")
    strips = samples.table(frame, Y)
    assert len(strips) == len(frame) and set(strips["Kind"]) == {"counted", "warm-up"}


def test_what_another_tool_measured_is_hollow_with_a_dot_and_said_to_be_imported(found: pd.DataFrame) -> None:
    theirs = found.assign(verdict=found["verdict"].mask(found["variant"] == "small", "imported"))
    figure, points = scatter(theirs)
    drawn = {t.name: t.marker.symbol for t in marks(figure)}
    assert drawn == {"baseline": "diamond", "imported": ("circle-open-dot",)}, "whatever its stack is"
    assert list(points[points["on_front"]]["variant"]) == ["float32"]
    assert "With a dot: imported, measured by another tool, and no part of the front: small." in tradeoff.describe(points, X, Y)
