"""Accuracy equals an independent loop; FP32 against int8 through the child gives a verdict by McNemar; wrong models are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.analysis import rows
from engine.measurement import Status
from engine.record import Record
from engine.specs import RunKind
from tests.experiments.workloads.conftest import Run, read, spec_of

OPTIONS = {"examples": 100, "batch_size": 16, "max_length": 32}


def test_accuracy_equals_a_loop_of_transformers(run: Run, texts: Path, tiny_models: Path) -> None:
    result = run(spec_of("local:tiny-bert", "classification", **OPTIONS), 0, RunKind.QUALITY)
    assert result.status is Status.SUCCEEDED, result.reason
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(tiny_models / "tiny-bert").eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_models / "tiny-bert")
    data = read(texts / "reviews-heldout.jsonl")
    with torch.no_grad():
        said = [int(model(**tokenizer(r["text"], return_tensors="pt", truncation=True, max_length=32)).logits.argmax()) for r in data]
    assert 10 < sum(said) < 90, "both classes are predicted, so that accuracy says something"
    found = {m.metric: m for m in result.measurements}
    right = [float(s == r["label"]) for s, r in zip(said, data, strict=True)]
    assert list(found["accuracy"].samples) == right
    assert found["accuracy"].value == pytest.approx(sum(right) / 100)
    true_positives = sum(s == r["label"] == 1 for s, r in zip(said, data, strict=True))
    precision, recall = true_positives / sum(said), true_positives / sum(r["label"] for r in data)
    assert found["f1"].value == pytest.approx(2 * precision * recall / (precision + recall))
    assert list(found["f1"].samples) == [1.0 if s == r["label"] == 1 else 0.0 if s != r["label"] else -1.0 for s, r in zip(said, data, strict=True)]
    assert "prediction_agreement" not in found, "the baseline is compared with nothing"


def test_int8_against_fp32_end_to_end(run_all: Callable[[object], Record], texts: Path) -> None:
    record = run_all(spec_of("local:tiny-bert", "classification", "torch_dynamic_int8", **OPTIONS))
    assert {(r["status"], r["reason"]) for r in record["runs"]} == {("succeeded", None)}
    found = {(r.variant, r.metric): r for r in rows(record)}
    for variant in ("torch_dynamic_int8",):
        accuracy, base = found[variant, "accuracy"], found["baseline", "accuracy"]
        assert accuracy.n_samples == 100 and accuracy.ratio == pytest.approx(accuracy.value / base.value)
        assert accuracy.verdict in ("equivalent", "better", "worse", "no difference shown"), "McNemar's test was made"
        f1 = found[variant, "f1"]
        assert f1.verdict in ("equivalent", "better", "worse", "no difference shown") and f1.ci_low is not None, "the bootstrap was made"
        assert 0.5 < found[variant, "prediction_agreement"].value <= 1
        assert found[variant, "weight_bytes"].ratio < 1
        assert found[variant, "examples_per_second"].value == pytest.approx(1 / found[variant, "seconds_per_example"].value, rel=0.5)
    assert found["torch_dynamic_int8", "peak_memory_bytes"].value > 0
    assert {r.metric for r in rows(record)} >= {"f1", "forward_seconds", "first_call_seconds", "seconds_per_example"}
    assert "perplexity" not in {r.metric for r in rows(record)}, "a classifier has none, not even an empty row"


def test_flips_are_counted(run: Run, texts: Path) -> None:
    """A variant without the baseline's file makes it first; the share of equal answers is what two quality runs show."""
    spec = spec_of("local:tiny-bert", "classification", "bnb_4bit", **OPTIONS)
    variant, base = run(spec, 1, RunKind.QUALITY), run(spec, 0, RunKind.QUALITY)
    assert (variant.status, variant.reason) == (Status.SUCCEEDED, None)
    right, of_base = ({m.metric: m for m in r.measurements}["accuracy"].samples for r in (variant, base))
    agreement = next(m for m in variant.measurements if m.metric == "prediction_agreement")
    # Of two classes, equally right means the same answer.
    assert list(agreement.samples) == [float(a == b) for a, b in zip(right, of_base, strict=True)]
    assert 0 < agreement.value < 1


def test_a_set_that_was_not_fetched_says_how(run: Run, texts: Path) -> None:
    spec = spec_of("local:tiny-bert", "classification", dataset="prompt_injection")
    for kind in RunKind:
        result = run(spec, 0, kind)
        assert result.status is Status.FAILED
        assert "python -m engine.bundled prompt-injection" in (result.reason or "")


def test_a_head_that_was_never_trained_is_refused(run: Run, texts: Path) -> None:
    result = run(spec_of("local:tiny-llama", "classification", **OPTIONS), 0, RunKind.SPEED)
    assert result.status is Status.FAILED
    assert "was never fine-tuned to classify" in (result.reason or "")


def test_more_examples_or_positions_or_classes_than_there_are(run: Run, texts: Path) -> None:
    result = run(spec_of("local:tiny-bert", "classification", examples=200), 0, RunKind.QUALITY)
    assert "examples: reviews has 100 examples, 200 were asked for" in (result.reason or "")
    result = run(spec_of("local:tiny-bert", "classification", **OPTIONS | {"max_length": 1024}), 0, RunKind.SPEED)
    assert "max_length: the model has 512 positions" in (result.reason or "")
    path = texts / "reviews-heldout.jsonl"
    path.write_text(path.read_text() + json.dumps({"text": "odd", "label": 2}) + "\n")
    result = run(spec_of("local:tiny-bert", "classification", **OPTIONS | {"examples": 101}), 0, RunKind.SPEED)
    assert "it tells 2 classes apart, reviews has 3" in (result.reason or "")


def test_a_cache_of_tokens_is_unsupported(run: Run, texts: Path) -> None:
    result = run(spec_of("local:tiny-bert", "classification", "kv_cache", **OPTIONS), 1, RunKind.SPEED)
    assert result.status is Status.UNSUPPORTED
    assert "generates no tokens" in (result.reason or "")
