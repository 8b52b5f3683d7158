"""The training workload through the real child: parts that add up, equal tokens, points that do not fit, quality before and after."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine import settings
from engine.analysis import rows
from engine.devices import find_device
from engine.loading import load_session
from engine.measurement import Measurement, RunResult, Status
from engine.meter import Meter
from engine.modelspec import ModelSpec
from engine.record import Record
from engine.registry import discover
from engine.specs import RunKind
from engine.technique import Session, Technique
from tests.experiments.workloads.conftest import Run, spec_of

SMALL: dict[str, Any] = {"seq_len": 32, "batch_sizes": [2], "steps": 2, "warmups": 1, "quality_steps": 0, "learning_rate": 0.01}
LEARNS = SMALL | {"quality_steps": 25, "quality_tokens": 2048, "quality_context": 256}
LOCAL, SHAPE = "local:tiny-llama", "tiny-llama"
PARTS = ("forward", "backward", "optimizer")
SPLIT = ("weight", "gradient", "optimizer", "activation", "other")


def by_batch(result: RunResult) -> dict[tuple[str, Any], Measurement]:
    return {(m.metric, m.point.get("batch")): m for m in result.measurements}


def test_every_batch_has_its_times_and_its_memory(run: Run) -> None:
    result = run(spec_of(LOCAL, "training_step", **SMALL | {"batch_sizes": [4, 1, 4, 2], "accumulation": 2}), 0, RunKind.SPEED)
    assert (result.status, result.reason) == (Status.SUCCEEDED, None)
    found = by_batch(result)
    for batch in (1, 2, 4):
        step, rate = found["step_seconds", batch], found["training_tokens_per_second", batch]
        tokens = 2 * batch * 32
        assert len(step.samples) == 2 and len(step.warmups) == 1
        parts = [found[f"step_{part}_seconds", batch].samples for part in PARTS]
        assert [sum(of_step) for of_step in zip(*parts, strict=True)] == pytest.approx(step.samples)
        assert all(seconds > 0 for part in parts for seconds in part)
        assert rate.samples == pytest.approx([tokens / s for s in step.samples])
        assert rate.value is not None and 0 < rate.value <= 2 * tokens / sum(step.samples) * (1 + 1e-9), "between the steps time passes too"
        assert found["peak_activation_bytes", batch].value > 0
        assert all(found[f"peak_{what}_bytes", batch].value is not None for what in SPLIT)
        assert found["peak_memory_bytes", batch].value > sum(found[f"peak_{what}_bytes", batch].value or 0 for what in SPLIT)
    assert found["first_call_seconds", 1].samples == found["step_seconds", 1].warmups and ("first_call_seconds", 2) not in found
    _memory_is_as_predicted(result, found)
    missing = set(discover().workloads["training_step"].metrics) - {m for m, _ in found}
    assert missing == {"adapter_bytes", "energy_joules_per_training_token"}, "there is no adapter, and a CPU counts no energy"


def _memory_is_as_predicted(result: RunResult, found: dict[tuple[str, Any], Measurement]) -> None:
    """The model's sizes are known: 4 bytes a parameter for weights and gradients, 8 for AdamW's state."""
    parameters = found["total_parameters", None].value
    assert parameters is not None and parameters == found["trainable_parameters", None].value
    predicted = result.details["memory_prediction"]
    assert predicted["peak_weight_bytes"] == pytest.approx(4 * parameters, rel=0.01) == found["weight_bytes", None].value
    assert predicted["peak_gradient_bytes"] == 4 * parameters
    assert predicted["peak_optimizer_bytes"] == found["optimizer_state_bytes", 4].value == pytest.approx(8 * parameters, rel=0.01)
    assert found["peak_weight_bytes", 4].value == found["weight_bytes", None].value
    assert result.evidence["model"]["facts"]["tf32"] is False


def test_a_batch_that_does_not_fit_is_a_point_and_the_smaller_ones_stay(run: Run, own_data: Path) -> None:
    """A real refusal: the kernel gives the process no more than 4 GB of addresses, the logits alone need 8."""
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({4 * 10**9},) * 2)"
    asked = SMALL | {"seq_len": 128, "batch_sizes": [1, 2048, 2049], "steps": 1}
    result = run(spec_of(SHAPE, "training_step", **asked), 0, RunKind.SPEED, limit)
    assert result.status is Status.SUCCEEDED, result.reason
    found = by_batch(result)
    for name in ("step_seconds", "training_tokens_per_second", "peak_memory_bytes", "peak_activation_bytes", "optimizer_state_bytes"):
        assert found[name, 1].status is Status.SUCCEEDED and found[name, 1].value is not None
        for batch, reason in ((2048, "batch 2048: "), (2049, "not tried: batch 2048 did not fit")):
            assert found[name, batch].status is Status.OUT_OF_MEMORY and found[name, batch].value is None
            assert (found[name, batch].reason or "").startswith(reason)


@pytest.mark.parametrize("kind", [RunKind.SPEED, RunKind.QUALITY])
def test_fewer_tokens_than_asked_for_fail_the_run(kind: RunKind, run: Run, own_data: Path) -> None:
    shorter = (
        "import experiments.training.batches as b; whole = b.batches;"
        "b.batches = lambda *a, **k: (ids[:, :-1] for ids in whole(*a, **k))"
    )
    result = run(spec_of(LOCAL, "training_step", **LEARNS | {"quality_steps": 2}), 0, kind, shorter)
    assert result.status is Status.FAILED
    assert "124 tokens were trained on, 128 were asked for: variants would not be comparable" in (result.reason or "")


def test_two_variants_from_end_to_end(run_all: Callable[..., Record], own_data: Path) -> None:
    record = run_all(spec_of(LOCAL, "training_step", "lora", **LEARNS))
    assert [(r["status"], r["reason"]) for r in record["runs"]] == [("succeeded", None)] * 4
    plain, lora = ({m["metric"]: m for m in r["measurements"]} for r in record["runs"] if r["kind"] == "quality")
    for found in (plain, lora):
        assert found["perplexity"]["value"] < found["perplexity_before_training"]["value"]
        losses = found["training_loss"]["samples"]
        assert len(losses) == 25 and losses[-1] < losses[0]
    assert plain["perplexity_before_training"]["samples"] == pytest.approx(lora["perplexity_before_training"]["samples"])
    assert lora["merged_perplexity"]["samples"] == pytest.approx(lora["perplexity"]["samples"], rel=1e-3), "float32 weights lose nothing"
    assert "merged_perplexity" not in plain and "kl_divergence" not in plain and lora["kl_divergence"]["value"] > 0
    _details_of(*(r["details"] for r in record["runs"] if r["kind"] == "quality"))
    of_lora = {r.metric: r for r in rows(record) if r.variant == "lora"}
    assert all(name in of_lora for name in discover().workloads["training_step"].decides)
    assert of_lora["perplexity"].ratio is not None and of_lora["perplexity"].verdict in ("worse", "better", "no difference shown")
    assert of_lora["optimizer_state_bytes"].ratio is not None and of_lora["optimizer_state_bytes"].ratio < 0.5
    trained = of_lora["trainable_parameters"].value
    assert trained is not None and 4 * trained < (of_lora["adapter_bytes"].value or 0) < 4 * trained + 10_000


def _details_of(plain: dict[str, Any], lora: dict[str, Any]) -> None:
    assert plain["quality"] == lora["quality"], "else they would not be comparable"
    assert plain["quality"] | {
        "text": "pydoc-topics", "training_text": "pydoc-topics-backwards", "quality_steps": 25, "learning_rate": 0.01, "batch": 2,
    } == plain["quality"]  # fmt: skip
    for details in (plain, lora):
        curve = details["loss_curve"]
        assert curve["tokens_per_step"] == 64 and len(curve["loss"]) == len(curve["seconds"]) == 25
        assert curve["seconds"] == sorted(curve["seconds"]) and curve["seconds"][0] > 0
    assert lora["merged"]["ratio"] == pytest.approx(1, rel=1e-3)
    low, high = lora["merged"]["interval"]
    assert low <= lora["merged"]["ratio"] <= high and "merged" not in plain


def session_of(tiny_models: Path, workload: Any, seed: int = 0, *stack: Technique) -> Session:
    model = ModelSpec(source="local", name="tiny-llama")
    return load_session(model, stack, find_device("cpu"), seed, tiny_models, tiny_models, settings.texts_dir(), workload)


def workload_of(**options: Any) -> Any:
    return discover().workload("training_step", LEARNS | options)


def test_a_seed_decides_everything(tiny_models: Path) -> None:
    """Order of the text, the adapter's first values, dropout."""
    workload = workload_of(quality_steps=4)

    def losses(seed: int) -> list[float]:
        found, _, tokens = workload._train(session_of(tiny_models, workload, seed, discover().technique("lora")), None)
        assert tokens == 4 * 2 * 32
        return list(found)

    assert losses(3) == losses(3) != losses(4)


def test_accumulated_micro_batches_are_one_batch(tiny_models: Path) -> None:
    """Four sequences at once or in two parts: the same gradients, so the same loss after each step."""
    whole, parts = (workload_of(quality_steps=3, batch_sizes=[b], accumulation=a) for b, a in ((4, 1), (2, 2)))
    losses = [workload._train(session_of(tiny_models, workload), None)[0] for workload in (whole, parts)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_a_text_that_is_too_short_says_what_to_change(tiny_models: Path, own_data: Path, tmp_path: Path) -> None:
    settings.texts_dir().mkdir(parents=True)
    (settings.texts_dir() / "wikitext2-validation.txt").write_text("the cat sat on the mat " * 8)
    for options, reason in (
        ({"batch_sizes": [64], "seq_len": 8}, "batch_sizes: the text has [0-9]+ windows, a batch needs 64; use smaller batches or windows"),
        ({"seq_len": 400}, "seq_len: the text has [0-9]+ tokens, 400 were asked for"),
    ):
        workload = workload_of(**options)
        with pytest.raises(ValueError, match=reason):
            workload.run(session_of(tiny_models, workload), Meter(tmp_path, "cpu"))


def test_a_learning_rate_that_blows_up_is_named(tiny_models: Path) -> None:
    workload = workload_of(learning_rate=10)
    session = session_of(tiny_models, workload)
    for parameter in session.model.parameters():
        parameter.data.mul_(1e20)
    with pytest.raises(ValueError, match="learning_rate: the loss of step 1 is (nan|inf); use a smaller learning rate"):
        workload._train(session, None)


@pytest.mark.parametrize(("options", "field"), [
    ({"learning_rate": 0}, "learning_rate"), ({"accumulation": 0}, "accumulation"), ({"batch_sizes": []}, "batch_sizes"),
    ({"warmups": 0}, "warmups"), ({"quality_tokens": 100}, "quality_context: one window of 256 tokens does not fit"),
])  # fmt: skip
def test_options_that_cannot_be_are_refused(options: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=field):
        workload_of(**options)


def test_the_longest_sequence_is_known_before_queueing() -> None:
    assert workload_of().positions_needed() == 256 and workload_of(quality_steps=0).positions_needed() == 32
