"""The scaling chart: every variant's line at its numbers, guides with the right slopes, and what did not fit is marked where it happened."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import pytest
from sqlalchemy import Engine

from dashboard.charts import scaling, style
from db.records import import_record
from engine.analysis import summary
from engine.measurement import Measurement, Status
from engine.record import Record, new_record
from engine.specs import ExperimentSpec
from tests.dashboard.conftest import HOSTILE, texts
from tests.records import build_record

NAME = "kernel_seconds"
LENGTHS = (128, 256, 512, 1024)


def attention_record(lengths: tuple[int, ...] = LENGTHS, names: tuple[str, str] = ("standard", "flash")) -> Record:
    """Three rounds: standard grows with n^2 and does not fit from the third length on; flash grows with n."""
    spec = ExperimentSpec.model_validate({
        "title": "Attention", "model": "none", "rounds": 3, "baseline": names[0], "workload": "attention_kernel",
        "variants": [{"name": n, "stack": []} for n in names],
    })  # fmt: skip
    record = new_record(spec)
    record["experiment"] |= {"id": "attention-experiment-1", "bound_device": "cpu", "created_at": "2026-01-02T03:04:05Z"}

    def measured(position: int, round_: int) -> list[Measurement]:
        found = []
        for i, n in enumerate(lengths):
            seconds = (1e-9 * n**2, 1e-6 * n)[position] * (1 + 0.01 * round_)
            for metric, value in ((NAME, seconds), ("extra_peak_bytes", 4.0 * n**2 if position == 0 else 0.0), ("tflops_per_second", n / seconds)):
                point = {"seq_len": n}
                if position == 0 and i >= 2:
                    reason = f"length {n}: no room" if i == 2 else "not tried"
                    found.append(Measurement(metric, point, status=Status.OUT_OF_MEMORY, reason=reason))
                else:
                    found.append(Measurement(metric, point, (value,)))
        return found

    return with_runs(record, measured)


def generation_record() -> Record:
    """Three rounds at several lengths of what is generated: without a cache seconds grow with n^2, with one with n."""
    spec = ExperimentSpec.model_validate({
        "title": "Cache", "model": "smollm2-135m", "rounds": 3, "baseline": "off", "variants": [{"name": n, "stack": []} for n in ("off", "dynamic")],
        "workload": {"options": {"new_tokens": list(LENGTHS)}},
    })  # fmt: skip
    record = new_record(spec)
    record["experiment"] |= {"id": "generation-experiment", "bound_device": "cpu", "created_at": "2026-01-02T03:04:05Z"}

    def measured(position: int, round_: int) -> list[Measurement]:
        found = [Measurement("weight_bytes", {}, (1000.0,))]
        for n in LENGTHS:
            seconds = (1e-4 * n**2, 1e-2 * n)[position] * (1 + 0.01 * round_)
            point = {"batch": 1, "prompt_tokens": 16, "new_tokens": n}
            values = {"generation_seconds": seconds, "decode_tokens_per_second": n / seconds, "ttft_seconds": 0.1, "kv_cache_bytes": 64.0 * n * position}
            found += [Measurement(metric, point, (value,)) for metric, value in values.items()]
        return found

    return with_runs(record, measured)


def with_runs(record: Record, measured: Callable[[int, int], list[Measurement]]) -> Record:
    """The record with three speed runs of its two variants."""
    template = build_record({"a": {"weight_bytes": [1.0]}})["runs"][0]
    for round_ in range(3):
        for position in range(2):
            measurements = [{**m.to_json(), "n_samples": len(m.samples)} for m in measured(position, round_)]
            for m in measurements:
                m["samples"], m["warmups"], m["status"] = list(m["samples"]), [], str(m["status"])
            number = len(record["runs"])
            record["runs"].append({**template, "id": number, "variant": position, "round": round_, "kind": "speed", "status": "succeeded",
                                   "reason": None, "measurements": measurements})  # fmt: skip
    return record


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    found, key = scaling.scaling_frame(summary(attention_record()), NAME)
    assert key == "seq_len"
    return found


def lines(figure: go.Figure) -> dict[str, Any]:
    return {t.name: t for t in figure.data}


@pytest.mark.parametrize(
    ("points", "key"),
    [
        ([{"seq_len": n, "batch": 1} for n in LENGTHS], "seq_len"),
        ([{"batch": 1, "new_tokens": n} for n in (8, 16, 32)], "new_tokens"),
        ([{"checkpoint_every": n} for n in (0, 1, 2, 4)], "checkpoint_every"),
        ([{"checkpoint_every": n} for n in (0, 1, 2)], None),
        ([{"x": n} for n in (-1, 1, 2, 4)], None),
        ([{"seq_len": 1}, {"seq_len": 2}], None),
        ([{"seq_len": n, "batch": n} for n in LENGTHS], None),
        ([{"text": t} for t in "abc"], None),
        ([{"seq_len": n} for n in LENGTHS] + [{}], None),
        ([{}], None), ([], None),
    ],
)  # fmt: skip
def test_one_number_that_differs_at_three_points_is_an_axis(points: list[Any], key: str | None) -> None:
    assert scaling.scaling_key(points) == key


def test_every_variant_has_a_line_at_its_numbers_with_intervals(frame: pd.DataFrame) -> None:
    found = lines(scaling.scaling(frame, "seq_len", NAME, dark=False))
    flash, standard = found["flash"], found["standard"]
    assert list(flash.x) == list(LENGTHS)
    assert list(flash.y) == pytest.approx([1e-6 * n * 1.01 * 1e3 for n in LENGTHS]), "milliseconds, the median of the rounds"
    assert list(standard.x) == [128, 256]
    assert all(a > 0 for a in (*flash.error_y.array, *flash.error_y.arrayminus))
    assert (standard.marker.symbol, flash.marker.symbol) == ("diamond", "square")
    assert standard.line.color != flash.line.color


def test_axes_are_logarithmic_and_hold_everything(frame: pd.DataFrame) -> None:
    figure = scaling.scaling(frame, "seq_len", NAME, dark=True)
    assert (figure.layout.xaxis.type, figure.layout.yaxis.type) == ("log", "log")
    assert "log scale" in figure.layout.xaxis.title.text and "log scale" in figure.layout.yaxis.title.text
    for trace in figure.data:
        if trace.name in ("flash", "standard", "out of memory"):
            for axis, values in ((figure.layout.xaxis, trace.x), (figure.layout.yaxis, trace.y)):
                assert all(axis.range[0] < math.log10(v) < axis.range[1] for v in values), trace.name
    assert list(figure.layout.xaxis.tickvals) == list(LENGTHS)
    assert figure.layout.paper_bgcolor == style.theme(True).background


def test_guides_have_the_slopes_that_they_name_and_meet_the_baseline(frame: pd.DataFrame) -> None:
    found = lines(scaling.scaling(frame, "seq_len", NAME, dark=False))
    for name, slope in (("O(n)", 1), ("O(n²)", 2)):
        (x0, x1), (y0, y1) = found[name].x, found[name].y
        assert math.log(y1 / y0) / math.log(x1 / x0) == pytest.approx(slope)
        assert y0 * (256 / x0) ** slope == pytest.approx(found["standard"].y[-1])


def test_a_rate_has_no_guides() -> None:
    found, key = scaling.scaling_frame(summary(attention_record()), "tflops_per_second")
    assert not {"O(n)", "O(n²)"} & set(lines(scaling.scaling(found, str(key), "tflops_per_second", dark=False)))


def test_out_of_memory_is_marked_at_the_length_where_it_happened(frame: pd.DataFrame) -> None:
    figure = scaling.scaling(frame, "seq_len", NAME, dark=False)
    (mark,) = [t for t in figure.data if t.name == "out of memory"]
    assert list(mark.x) == [512], "not where it was not tried any more"
    assert mark.text[0] == "standard: out of memory"
    assert "length 512: no room" in mark.customdata[0][2]
    words = scaling.describe(frame, "seq_len", NAME)
    assert words == (
        "Kernel time over sequence length of 2 variants. The last step multiplies it: standard 4 times (from 128 to 256), "
        "flash 2 times (from 512 to 1024). Out of memory: standard at 512."
    )


def over_segments(fits: tuple[bool, ...] = (True, True, True, True, True)) -> pd.DataFrame:
    """A chain of layers over checkpoint_every 0, 1, 2, 4, 32: 100 MiB without checkpointing, least at 4."""
    names, megabytes = (0, 1, 2, 4, 32), (100, 60, 40, 30, 95)
    rows = [
        {"variant": "chain", "position": 0, "baseline": True, "x": float(n), "value": mib * 2.0**20 if fit else math.nan, "low": math.nan,
         "high": math.nan, "n_rounds": 3, "verdict": "better", "ratio": math.nan, "ci_low": math.nan, "ci_high": math.nan,
         "status": "succeeded" if fit else "out_of_memory", "reason": None if fit else "no room"}
        for n, mib, fit in zip(names, megabytes, fits, strict=True)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_a_point_at_zero_is_a_level_line() -> None:
    figure = scaling.scaling(over_segments(), "checkpoint_every", "extra_peak_bytes", dark=False)
    found = lines(figure)
    assert set(found) == {"chain", "chain, checkpoint every 0"}, "no guides: nothing grows with a choice"
    assert list(found["chain"].x) == [1, 2, 4, 32]
    level = found["chain, checkpoint every 0"]
    assert list(level.x) == [1, 32] and list(level.y) == pytest.approx([100, 100])
    assert figure.layout.yaxis.range[0] < math.log10(30) and math.log10(100) < figure.layout.yaxis.range[1]
    assert list(figure.layout.xaxis.tickvals) == [1, 2, 4, 32]
    assert figure.layout.xaxis.title.text == "Layers per checkpoint (log scale)"
    words = scaling.describe(over_segments(), "checkpoint_every", "extra_peak_bytes")
    assert words.startswith("Extra peak memory over layers per checkpoint of 1 variants. chain at 0, the level line: 100 MiB.")


def test_of_choices_every_one_that_did_not_fit_is_marked() -> None:
    """Without checkpointing and in one segment of all layers: in between it fits."""
    frame = over_segments((False, True, True, True, False))
    figure = scaling.scaling(frame, "checkpoint_every", "extra_peak_bytes", dark=False)
    marks = {t.text[0]: list(t.x) for t in figure.data if t.name == "out of memory"}
    assert marks == {"chain at 0: out of memory": [1], "chain: out of memory": [32]}
    assert scaling.describe(frame, "checkpoint_every", "extra_peak_bytes").endswith("Out of memory: chain at 0, chain at 32.")


def test_zeros_and_nothing_measured_are_no_error() -> None:
    found, key = scaling.scaling_frame(summary(attention_record()), "extra_peak_bytes")
    assert {t.name for t in scaling.scaling(found, str(key), "extra_peak_bytes", dark=False).data} >= {"standard", "out of memory"}
    nothing = found.assign(value=float("nan"), status="out_of_memory")
    assert len([t for t in scaling.scaling(nothing, "seq_len", NAME, dark=False).data if t.name == "out of memory"]) == 2
    assert scaling.describe(nothing, "seq_len", NAME) == "No kernel time was measured yet."


def test_text_of_others_is_not_read_as_html() -> None:
    found, key = scaling.scaling_frame(summary(attention_record(names=(HOSTILE[:100], "<b>b</b>"))), NAME)
    text = scaling.scaling(found, str(key), NAME, dark=False).to_json()
    assert "<img" not in text and "\\u003cimg" not in text.lower()


def test_many_variants_look_different() -> None:
    looks = [style.line_look(i, baseline=False, colours=style.LIGHT) for i in range(16)]
    assert len(set(looks)) == 16


def test_the_page_has_it_for_any_deciding_metric(db: Engine, open_page: Callable[..., Any]) -> None:
    page = open_page("experiment", id=import_record(db, attention_record(), "imported"))
    assert "Scaling" in [h.value for h in page.header]
    assert "Out of memory: standard at 512." in texts(page)
    page.segmented_control(key="experiment_over").select("tflops_per_second").run()
    assert not page.exception
    assert "Rate of arithmetic over sequence length" in texts(page)
    page = open_page("experiment", id=page.query_params["id"], tab="memory")
    assert "Extra peak memory: from" in texts(page), "no model, so no weights: the memory chart has what there is"


def test_two_lengths_make_no_curve(db: Engine, open_page: Callable[..., Any]) -> None:
    page = open_page("experiment", id=import_record(db, attention_record(lengths=LENGTHS[:2]), "imported"))
    assert "Scaling" not in [h.value for h in page.header]


def test_generated_lengths_make_a_curve_of_seconds_with_guides() -> None:
    found, key = scaling.scaling_frame(summary(generation_record()), "generation_seconds")
    assert key == "new_tokens"
    figure = scaling.scaling(found, key, "generation_seconds", dark=False)
    names = lines(figure)
    assert set(names) == {"off", "dynamic", "O(n)", "O(n²)"}
    assert list(names["off"].x) == list(LENGTHS) and figure.layout.xaxis.title.text == "Generated tokens (log scale)"
    assert "off 4 times (from 512 to 1024), dynamic 2 times" in scaling.describe(found, key, "generation_seconds")


def test_the_page_of_several_lengths_shows_seconds_first_and_offers_the_cache(db: Engine, open_page: Callable[..., Any]) -> None:
    page = open_page("experiment", id=import_record(db, generation_record(), "imported"))
    assert "Whole generation over generated tokens of 2 variants" in texts(page)
    page.segmented_control(key="experiment_over").select("kv_cache_bytes").run()
    assert not page.exception
    assert "KV cache over generated tokens of 1 variants" in texts(page)
    headline = page.dataframe[0].value
    assert list(headline["Variant"]) == ["off", "dynamic"] and headline["Whole generation"][0].startswith("1.65 s"), "the first point is chosen"
    page.selectbox(key="experiment_point").select("batch=1, prompt_tokens=16, new_tokens=1024").run()
    assert not page.exception
