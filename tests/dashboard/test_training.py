"""Charts of training: parts that add up with the formula's mark, every step of the loss with the baseline, and both only where there is training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import pytest
from sqlalchemy import Engine

from dashboard.charts import loss, style, training_memory
from dashboard.charts.training_memory import PARTS
from db.records import import_record
from engine.analysis import summary
from engine.measurement import Measurement, Status
from engine.record import Record, new_record
from engine.specs import ExperimentSpec
from tests.dashboard.conftest import HOSTILE, finished, texts
from tests.records import build_record

MIB = 2**20
SIZES = {"full": (500, 500, 1000, 200, 50), "lora": (505, 5, 10, 180, 40)}
"""MiB at the peak, in the order of PARTS."""
POINT = {"batch": 2, "seq_len": 64}
BIG = {"batch": 64, "seq_len": 64}
LOSSES = {"full": [3.0, 2.8, 2.9, 2.5], "lora": [3.1, 3.0, 2.95, 2.9]}


def training_record(names: tuple[str, str, str] = ("full", "lora", "8 bit")) -> Record:
    """Three rounds: full training that does not fit at the second batch, an adapter, and a variant that this machine cannot run."""
    spec = ExperimentSpec.model_validate({
        "title": "Training", "model": "smollm2-135m", "rounds": 3, "baseline": names[0], "workload": "training_step",
        "variants": [{"name": n, "stack": []} for n in names],
    })  # fmt: skip
    record = new_record(spec)
    record["experiment"] |= {"id": "training-experiment-01", "bound_device": "cpu", "created_at": "2026-01-02T03:04:05Z"}
    template = build_record({"a": {"weight_bytes": [1.0]}})["runs"][0]
    runs = [(round_, position, "speed") for round_ in range(3) for position in range(3)] + [(0, p, "quality") for p in range(3)]
    for round_, position, kind in runs:
        run = template | {"id": len(record["runs"]), "variant": position, "round": round_, "kind": kind}
        if position == 2:
            run |= {"status": "unsupported", "reason": "adam8bit: for GPUs only", "measurements": []}
        else:
            key = ("full", "lora")[position]
            measured = _speed(key, round_) if kind == "speed" else _quality(key)
            run |= {"measurements": [_json(m) for m in measured], "details": _details(key, kind)}
        record["runs"].append(run)
    return record


def _speed(key: str, round_: int) -> list[Measurement]:
    sizes = dict(zip(PARTS, (float(s * MIB) for s in SIZES[key]), strict=True))
    found = [Measurement("weight_bytes", {}, (500.0 * MIB,)), Measurement("training_tokens_per_second", POINT, (100.0 + round_,)),
             Measurement("peak_memory_bytes", POINT, (3000.0 * MIB,))]  # fmt: skip
    found += [Measurement(name, POINT, (value,)) for name, value in sizes.items()]
    for name in ("training_tokens_per_second", "peak_memory_bytes", *sizes):
        if key == "full":
            found.append(Measurement(name, BIG, status=Status.OUT_OF_MEMORY, reason="batch 64: no room"))
        else:
            found.append(Measurement(name, BIG, (5000.0 * MIB,)))
    return found


def _quality(key: str) -> list[Measurement]:
    text = {"text": "wikitext2-test", "tokens": 4096, "context": 1024}
    found = [Measurement("perplexity", text, tuple(20.0 + i for i in range(16)), value=27.0),
             Measurement("perplexity_before_training", text, tuple(22.0 + i for i in range(16)), value=29.0),
             Measurement("training_loss", text, tuple(LOSSES[key]))]  # fmt: skip
    return found + [Measurement("merged_perplexity", text, tuple(20.5 + i for i in range(16)), value=27.5)] * (key == "lora")


def _details(key: str, kind: str) -> dict[str, Any]:
    if kind == "speed":
        formula = {"full": (500, 500, 1000), "lora": (505, 5, 10)}[key]
        return {"memory_prediction": {m: s * MIB for m, s in zip(training_memory.PREDICTED, formula, strict=True)}}
    curve = {"tokens_per_step": 128, "seconds": [1.5, 3.0, 4.5, 6.0], "loss": LOSSES[key]}
    return {"quality": {"text": "wikitext2-test"}, "loss_curve": curve} | ({"merged": {"ratio": 1.02, "interval": [1.01, 1.03]}} if key == "lora" else {})


def _json(m: Measurement) -> dict[str, Any]:
    return m.to_json() | {"samples": list(m.samples), "warmups": [], "status": str(m.status), "n_samples": len(m.samples)}


def split(point: str | None = None, record: Record | None = None) -> pd.DataFrame:
    record = record or training_record()
    return training_memory.split_frame(summary(record), point, training_memory.predictions(record))


def traces(figure: go.Figure) -> dict[str, Any]:
    return {t.name: t for t in figure.data}


def test_the_parts_are_stacked_and_the_formula_is_a_mark_beside_them() -> None:
    figure = training_memory.split_bars(split(), dark=False)
    found = traces(figure)
    assert figure.layout.barmode == "stack" and list(found)[:5] == ["weights", "gradients", "optimizer", "activations", "other"]
    bars = [found[label] for label, _, _ in PARTS.values()]
    assert [sum(bar.x[i] for bar in bars) for i in (0, 1)] == pytest.approx([2250 / 1024, 740 / 1024]), "in GiB"
    mark = found["by formula"]
    assert mark.type == "scatter" and list(mark.x) == pytest.approx([2000 / 1024, 520 / 1024]) and list(mark.y) == [0, 1]
    assert found["gradients"].customdata[0][2] == " (500 MiB by formula)" and found["other"].customdata[0][2] == ""
    assert list(figure.layout.yaxis.ticktext) == ["full", "lora", "8 bit"]
    assert figure.layout.xaxis.range[1] > 2250 / 1024 and "GiB" in figure.layout.xaxis.title.text


def test_a_variant_without_bars_says_why() -> None:
    sums = traces(training_memory.split_bars(split(), dark=True))["sum"]
    assert [t.strip() for t in sums.text] == ["2.2 GiB", "740 MiB", "⊘ unsupported"] and sums.x[2] == 0
    at_big = split("batch=64, seq_len=64")
    sums = traces(training_memory.split_bars(at_big, dark=True))["sum"]
    assert [t.strip() for t in sums.text] == ["⊘ did not fit (out of memory)", "24.4 GiB", "⊘ unsupported"]
    assert "full did not fit (out of memory); lora 24.4 GiB" in training_memory.describe(at_big)


def test_the_split_in_words_and_as_a_table() -> None:
    frame = split()
    assert "full 2.2 GiB, most of it optimizer (1000 MiB); lora 740 MiB, most of it weights (505 MiB); 8 bit unsupported" in training_memory.describe(frame)
    table = training_memory.split_table(frame)
    assert list(table["Variant"]) == ["full", "lora", "8 bit"]
    assert list(table["Gradients"]) == ["500 MiB", "5 MiB", "⊘ unsupported"]
    assert list(table["Optimizer, formula"]) == ["1000 MiB", "10 MiB", "not predicted"]
    assert list(table["Sum at the peak"]) == ["2.2 GiB", "740 MiB", "not measured"]
    assert "Activations, formula" not in table


def test_weights_without_a_formula_have_no_mark() -> None:
    record = training_record()
    for run in record["runs"]:
        if run["variant"] == 1 and run["kind"] == "speed":
            del run["details"]["memory_prediction"]["peak_weight_bytes"]
    mark = traces(training_memory.split_bars(split(record=record), dark=False))["by formula"]
    assert list(mark.y) == [0], "half a sum would be read as the whole"
    assert list(training_memory.split_table(split(record=record))["Weights, formula"]) == ["500 MiB", "not predicted", "not predicted"]


@pytest.mark.parametrize(("over", "xs"), [("tokens", [128, 256, 384, 512]), ("seconds", [1.5, 3.0, 4.5, 6.0])])
def test_every_step_is_drawn_of_every_variant_that_trained(over: loss.Over, xs: list[float]) -> None:
    frame = loss.loss_frame(training_record())
    figure = loss.loss_lines(frame, over, dark=True)
    found = traces(figure)
    assert list(found) == ["full", "lora"]
    assert list(found["full"].x) == xs and list(found["full"].y) == LOSSES["full"]
    assert found["full"].line.color == style.DARK.text != found["lora"].line.color, "the baseline looks like the baseline"
    low, high = figure.layout.yaxis.range
    assert low < 2.5 and high > 3.1
    assert figure.layout.xaxis.range[0] == 0 and figure.layout.xaxis.range[1] > xs[-1]
    words = loss.describe(frame, over)
    assert ("full from 3 to 2.5 after 512 tokens" if over == "tokens" else "full from 3 to 2.5 after 6 s") in words


def test_losses_as_a_table_with_the_held_out_perplexities() -> None:
    record = training_record()
    frame = loss.loss_frame(record)
    full, lora = loss.loss_table(frame, summary(record), record).to_dict("records")
    assert full == {
        "Variant": "full", "Steps": 4, "Tokens": "512", "Time": "6 s", "Loss, first quarter": "3.000", "Loss, last quarter": "2.500",
        "Held-out perplexity before": "29", "Held-out perplexity after": "27", "With the adapter merged": "", "Change by merging": "",
    }  # fmt: skip
    assert (lora["With the adapter merged"], lora["Change by merging"]) == ("27.5", "+2.0 %")
    for run in record["runs"]:
        run["details"].pop("merged", None)
    assert "Change by merging" not in loss.loss_table(frame, summary(record), record), "no adapter, no columns for it"


def test_text_of_others_is_not_read_as_html() -> None:
    record = training_record((HOSTILE[:100], "<b>b</b>", "c"))
    for figure in (training_memory.split_bars(split(record=record), dark=False), loss.loss_lines(loss.loss_frame(record), "tokens", dark=False)):
        text = figure.to_json()
        assert "<img" not in text and "\\u003cimg" not in text.lower()


def test_the_page_has_both(db: Engine, open_page: Callable[..., Any]) -> None:
    experiment = import_record(db, training_record(), "imported")
    page = open_page("experiment", id=experiment)
    assert (page.selectbox(key="experiment_x").value, page.selectbox(key="experiment_y").value) == ("peak_memory_bytes", "training_tokens_per_second")
    assert "Pareto front" in texts(page)
    page = open_page("experiment", id=experiment, tab="memory")
    assert "What holds it at the peak of a step" in [h.value for h in page.subheader]
    assert "full 2.2 GiB, most of it optimizer" in texts(page)
    page.selectbox(key="experiment_point").select("batch=64, seq_len=64").run()
    assert not page.exception and "full did not fit (out of memory)" in texts(page)
    page = open_page("experiment", id=experiment, tab="quality")
    assert "Loss" in [h.value for h in page.header] and "after 512 tokens" in texts(page)
    page.segmented_control(key="experiment_loss").select("seconds").run()
    assert not page.exception and "lora from 3.1 to 2.9 after 6 s" in texts(page)


def test_an_experiment_without_training_has_neither(db: Engine, open_page: Callable[..., Any]) -> None:
    experiment = import_record(db, finished(), "imported")
    assert not [h for h in open_page("experiment", id=experiment, tab="memory").subheader if "peak of a step" in h.value]
    assert "Loss" not in [h.value for h in open_page("experiment", id=experiment, tab="quality").header]
