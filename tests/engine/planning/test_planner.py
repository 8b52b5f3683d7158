"""The planner's bytes against arithmetic done by hand, the chapter's table, and the reference results."""

from __future__ import annotations

from typing import Any

import pytest

from engine.footprint import Load
from engine.modelspec import ModelSpec
from engine.planning.architecture import architecture
from engine.planning.planner import SLACK, WORKSPACE_BYTES, Components, Plan, cache_bytes, footprint, plan, weight_bytes
from engine.specs import VariantSpec
from tests.benchmarks import planner_error

SEVEN = 6_738_415_616
BLOCK = 4 * 4096 * 4096 + 3 * 4096 * 11008 + 2 * 4096
TRAIN = Load({"batch": 8, "seq_len": 16}, 8, 16, micro_batches=1)


def planned(load: Load, *stack: str, model: str = "llama-7b", ranks: int = 1) -> Plan:
    return plan(ModelSpec.model_validate(model), VariantSpec.model_validate({"stack": stack}).build(), load, ranks)


def test_adamw_in_float32_takes_16_bytes_a_parameter_and_20_with_its_usual_update() -> None:
    fused, usual = planned(TRAIN, "float32", "adamw"), planned(TRAIN, "float32")
    tensors = len(architecture(ModelSpec.model_validate("llama-7b")).shapes)
    held = fused.components
    assert (held.weights, held.optimizer) == (4 * SEVEN, 8 * SEVEN + 4 * tensors)
    assert held.gradients == pytest.approx(4 * SEVEN, rel=0.03)  # at the first block the embedding's is not there yet
    assert usual.moment == "update"
    assert usual.peak_memory_bytes == 20 * SEVEN + 4 * tensors + 2 * WORKSPACE_BYTES


def test_mixed_precision_saves_no_weights_gradients_or_state() -> None:
    full, mixed = planned(TRAIN, "float32").components, planned(TRAIN, "amp_bfloat16").components
    assert (mixed.weights, mixed.gradients, mixed.optimizer) == (full.weights, full.gradients, full.optimizer)


@pytest.mark.parametrize(("technique", "bytes_a_parameter"), [("adam8bit", 2 + 8 / 256), ("paged_adamw8bit", 8 / 256), ("adamw", 8)])
def test_state_of_optimizers(technique: str, bytes_a_parameter: float) -> None:
    assert planned(TRAIN, "float32", technique).components.optimizer == pytest.approx(SEVEN * bytes_a_parameter, rel=1e-3)


def test_adafactor_updates_one_parameter_after_the_other() -> None:
    found = planned(TRAIN, "float32", "adafactor")
    assert found.components.workspace == 2 * 4 * 32000 * 4096 + 2 * WORKSPACE_BYTES


def test_the_cache_is_two_numbers_for_each_head_dimension_layer_and_token() -> None:
    model = architecture(ModelSpec.model_validate("llama-7b"))
    held = footprint(model, VariantSpec.model_validate("float16").build())
    assert cache_bytes(model, held, 279, 8) == 8 * 279 * 2 * 32 * 4096 * 2 == 1_170_210_816  # as measured for 256 and 24 tokens
    load = Load({}, 8, 256, 24)
    assert planned(load, "float16", "kv_cache(mode=off)").components.kv_cache == 0
    assert planned(load, "float16", "kv_cache(mode=static)").components.kv_cache == 8 * 280 * 2 * 32 * 4096 * 2
    packed = planned(Load({}, 8, 3000, 500), "float16", "quantized_kv_cache(bits=4, group_size=32, residual_length=128)").components.kv_cache
    assert packed < planned(Load({}, 8, 3000, 500), "float16").components.kv_cache * 0.4


@pytest.mark.parametrize(("stack", "measured"), [
    (("float16",), 13_476_831_232), (("bfloat16", "bnb_4bit(double_quant=False)"), 4_167_588_352), (("bfloat16", "bnb_4bit"), 3_865_836_928),
    (("bfloat16", "torchao_int8_weight_only"), 6_876_713_728), (("bfloat16", "torchao_int4_weight_only(group_size=32)"), 4_593_295_616),
    (("bfloat16", "hqq(bits=3)"), 3_520_012_800), (("bfloat16", "hqq(bits=2, group_size=16)"), 3_762_823_680),
])  # fmt: skip
def test_packed_weights_are_those_counted_on_a_gpu(stack: tuple[str, ...], measured: int) -> None:
    model = architecture(ModelSpec.model_validate("llama-7b"))
    assert weight_bytes(model, footprint(model, VariantSpec.model_validate({"stack": stack}).build())) == pytest.approx(measured, rel=1e-4)


def test_an_adapter_trains_its_own_matrices_alone() -> None:
    """LLaMA-7B, rank 16 beside q and v: 8,388,608 parameters."""
    found = planned(Load({}, 1, 512, micro_batches=4), "bfloat16", "lora").components
    assert (found.gradients, found.weights) == (4 * 8_388_608, 2 * SEVEN + 4 * 8_388_608)
    assert found.optimizer == 8 * 8_388_608 + 4 * 128


def test_eight_gpus_under_fsdp_hold_an_eighth_and_the_block_at_work() -> None:
    found = planned(TRAIN, "float32", "adamw", "fsdp(processes=8)", ranks=8).components
    embedding = 32000 * 4096
    assert found.weights == 4 * SEVEN // 8 + 3 * 4 * BLOCK + 4 * (2 * embedding + 4096)
    assert found.optimizer == pytest.approx(SEVEN, rel=1e-6)
    assert found.gradients == pytest.approx(4 * SEVEN // 8, rel=0.03)
    with_two = Load({}, 2, 16, micro_batches=1)
    update = planned(with_two, "float32", "fsdp", ranks=2)
    assert (update.moment, update.components.weights) == ("update", 2 * SEVEN)  # nothing is gathered any more


def test_ddp_holds_all_and_buckets_for_the_gradients() -> None:
    alone, two = planned(TRAIN, "float32"), planned(Load({}, 16, 16, micro_batches=1), "float32", "ddp", ranks=2)
    assert two.peak_memory_bytes - alone.peak_memory_bytes == 4 * SEVEN


def test_checkpointing_keeps_inputs_and_one_block() -> None:
    load = Load({}, 64, 512, micro_batches=1)
    every, second, none = (planned(load, "bfloat16", "lora", *c).components.activations
                           for c in (("gradient_checkpointing",), ("gradient_checkpointing(every=2)",), ()))  # fmt: skip
    assert every < second < none
    assert second - every == pytest.approx((none - second), rel=0.2)  # 16 of the 32 blocks each


def test_gradients_of_earlier_micro_batches_are_there_in_later_ones() -> None:
    one, two = (planned(Load({}, 64, 512, micro_batches=n), "amp_bfloat16", "gradient_checkpointing", "adam8bit") for n in (1, 2))
    assert (one.components.gradients, two.components.gradients) == (0, 4 * SEVEN)


@pytest.mark.parametrize(("load", "stack", "ranks", "message"), [
    (TRAIN, ("float32",), 2, "gpus: 2 GPUs share the work by ddp or fsdp"), (TRAIN, ("float32", "ddp"), 3, "batch: 8 sequences .* multiple of 3"),
    (TRAIN, ("onnxruntime",), 1, "technique: onnxruntime has no memory formula"),
    (TRAIN, ("fsdp(cpu_offload=true)",), 2, "technique: fsdp with cpu_offload has no memory formula"),
])  # fmt: skip
def test_what_cannot_be_planned_says_which_field(load: Load, stack: tuple[str, ...], ranks: int, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        planned(load, *stack, ranks=ranks)


def test_the_margin_is_of_what_comes_and_goes() -> None:
    found = Plan(TRAIN, Components(weights=100, activations=40, workspace=20), "loss")
    assert (found.peak_memory_bytes, found.needed_bytes) == (160, 160 + int(SLACK * 60))


def test_reference_results_are_predicted_within_the_goal_and_nothing_that_is_said_to_fit_ran_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["planner_error"])
    assert planner_error.main() == 0
    printed: Any = capsys.readouterr().out
    assert "of these said to fit: none" in printed and "n = " in printed
