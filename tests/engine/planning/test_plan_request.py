"""The question and the answer of `plan`: what fits, the largest that does, the chapter's table, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.catalogue import SHAPES
from engine.footprint import Load
from engine.modelspec import ModelSpec
from engine.planning.architecture import architecture
from engine.planning.plan_request import answer, request, scale, verdict
from engine.planning.planner import Components, Plan

CHAPTER = {  # GB by 32, 16, 8 and 4 bits, as the chapter prints them
    "GPT-2 small shape": (0.5, 0.25, 0.125, 0.06), "BERT large": (1.4, 0.7, 0.35, 0.17), "GPT-3": (700, 350, 175, 87),
    "LLaMA-65B shape": (260, 130, 65, 32), "GPT-4 (an estimate)": (7200, 3600, 1800, 900),
}  # fmt: skip


def planned(**given: Any) -> dict[str, Any]:
    return answer(request(**{"model": "llama-7b"} | given))


@pytest.mark.parametrize(("usable", "word"), [(120, "fits"), (119, "may not fit"), (100, "may not fit"), (99, "does not fit")])
def test_edges_of_fitting(usable: int, word: str) -> None:
    found = Plan(Load({}, 1, 1), Components(weights=20, activations=80), "loss")
    assert (found.peak_memory_bytes, found.needed_bytes) == (100, 120)
    assert verdict(found, usable) == word


def test_the_chapters_table_for_its_models() -> None:
    rows = {row["model"]: row for row in scale()}
    for model, printed in CHAPTER.items():
        ours = [rows[model][f"ideal_{bits}_bit_bytes"] / 1e9 for bits in (32, 16, 8, 4)]
        assert ours == pytest.approx(printed, rel=0.05)  # it rounds, and calls BERT large 340M
    assert rows["LLaMA-7B shape"]["adamw_float32_training_bytes"] == 16 * SHAPES["llama-7b"].parameters
    assert rows["GPT-3"]["nf4_stored_bytes"] is None and rows["LLaMA-65B shape"]["nf4_stored_bytes"] > rows["LLaMA-65B shape"]["ideal_4_bit_bytes"]


def test_the_model_asked_for_is_in_the_table_once() -> None:
    assert [r["model"] for r in scale(ModelSpec.model_validate("smollm2-135m"))].count("smollm2-135m") == 1
    assert len(scale(ModelSpec.model_validate("llama-7b"))) == len(scale())


@pytest.mark.parametrize("given", [
    {"techniques": ["float16"], "memory": "24GB"},
    {"techniques": ["bnb_4bit", "lora", "gradient_checkpointing"], "workload": "training_step", "memory": "24GB"},
    {"techniques": ["bfloat16"], "workload": "training_step", "gpus": 4, "parallelism": "fsdp", "batch": 4, "memory": "H100"},
])  # fmt: skip
def test_the_largest_fits_and_one_more_does_not(given: dict[str, Any]) -> None:
    found, step = planned(**given), given.get("gpus", 1)
    batch, length = found["largest_batch"], found["largest_length"]
    assert batch % step == 0
    assert (planned(**given | {"batch": batch})["verdict"], planned(**given | {"batch": batch + step})["verdict"] != "fits") == ("fits", True)
    assert planned(**given | {"length": length})["verdict"] == "fits"
    limit = 4096 - (128 if found["workload"] == "generation" else 0)
    assert length == limit or planned(**given | {"length": length + 1})["verdict"] != "fits"


def test_nothing_fits_a_card_that_is_too_small() -> None:
    found = planned(techniques=["float32"], memory="T4")
    assert (found["verdict"], found["largest_batch"], found["largest_length"]) == ("does not fit", 0, 0)


def test_the_answer_is_json_whose_parts_add_up() -> None:
    found = json.loads(json.dumps(planned(techniques=["amp_bfloat16"], workload="training_step", batch=2, accumulation=2)))
    assert sum(found["components"].values()) == found["peak_memory_bytes"] <= found["needed_bytes"]
    assert found["stack"] == [{"technique": "amp_bfloat16", "options": {}}]
    assert found["parameters"] == architecture(ModelSpec.model_validate("llama-7b")).parameters


def test_an_encoder_has_a_plan_too() -> None:
    found = planned(model="minilm-l6", workload="encoder_forward", batch=32, length=128)
    assert found["components"]["weights_bytes"] == 4 * 22_713_216
    assert found["components"]["kv_cache_bytes"] == 0


@pytest.mark.parametrize(("given", "message"), [
    ({"model": "lama-7b"}, "model: unknown model 'lama-7b' .did you mean 'llama-7b'"), ({"batch": 0}, "batch: .*greater than or equal to 1"),
    ({"gpus": 2}, "gpus: 2 GPUs share a training by ddp or fsdp"), ({"memory": "H10"}, "memory: 'H10' is neither"),
    ({"workload": "poetry"}, "workload: "), ({"model": "none"}, "model: none is no model"), ({"techniques": ["float16("]}, "techniques.0: 'float16.' is no"),
    ({"techniques": ["float17"]}, "technique.*float17"), ({"techniques": ["float16", "float32"]}, "stack: .* both set the 'precision' slot"),
    ({"techniques": ["bnb_4bit"], "workload": "training_step"}, "technique: bnb_4bit: its weights take no gradients; add an adapter"),
    ({"techniques": ["lora"]}, "technique: lora: it has no effect on the workload generation"),
    ({"techniques": ["torch_dynamic_int8"]}, "technique: torch_dynamic_int8 has no memory formula"),
    ({"techniques": ["onnxruntime"], "model": "smollm2-135m"}, "technique: onnxruntime has no memory formula"),
    ({"length": 5000}, "length: 5128 tokens are more than the 4096 positions"),
    ({"workload": "training_step", "gpus": 3, "parallelism": "ddp", "batch": 4}, "technique: ddp: batch_sizes: 4 sequences cannot be dealt out"),
    ({"model": "minilm-l6"}, "model: minilm-l6 is an encoder"),
])  # fmt: skip
def test_questions_that_make_no_sense_name_the_field(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        planned(**given)
