"""What cannot be in one stack: by slot, by phase, by environment, by the reasons of the techniques; on any machine, not only this one."""

from __future__ import annotations

import pytest

from engine import combinations
from engine.registry import discover
from engine.specs import VariantSpec

NAMES = sorted(discover().techniques)


def reasons(name: str) -> dict[str, str]:
    return {other: c.reason for c in combinations.conflicts(name) for other in c.others}


def test_reasons_of_every_kind() -> None:
    assert reasons("bnb_4bit")["hqq"] == "they take the same slot, weights"
    assert reasons("kv_cache")["adamw"] == "one is for inference, the other for training"
    assert reasons("hqq")["onnxruntime"] == "hqq runs in the hqq environment and onnxruntime in the onnx environment"
    assert reasons("fsdp")["bnb_4bit"].startswith("fsdp: it deals out rows of numbers")
    assert reasons("torch_dynamic_int8")["tensorrt"] == "no device can run both", "one is for CPUs, the other for GPUs"


@pytest.mark.parametrize(("one", "other"), [
    ("bnb_4bit", "lora"), ("bnb_4bit", "adamw"), ("bnb_4bit", "gradient_checkpointing"), ("amp_bfloat16", "lora"), ("adam8bit", "ddp"),
    ("bfloat16", "kv_cache"), ("torchao_int8_weight_only", "torch_compile"), ("attention", "gradient_checkpointing"), ("data_parallel", "adamw"),
])  # fmt: skip
def test_what_goes_together_is_not_in_the_list(one: str, other: str) -> None:
    """QLoRA among them: weights that take no gradients need an adapter, which is no conflict between them and an optimizer."""
    assert other not in reasons(one)


@pytest.mark.parametrize("name", NAMES)
def test_it_holds_both_ways(name: str) -> None:
    assert all(name in reasons(other) for other in reasons(name))


@pytest.mark.parametrize("name", NAMES)
def test_a_stack_of_one_slot_is_refused_as_said(name: str) -> None:
    for other, reason in reasons(name).items():
        if reason.startswith("they take the same slot"):
            with pytest.raises(ValueError, match="slot"):
                VariantSpec.model_validate({"stack": [name, other]})


def test_it_does_not_depend_on_what_is_installed_here(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {name: reasons(name) for name in NAMES}
    for cls in discover().techniques.values():
        monkeypatch.setattr(cls, "missing_packages", classmethod(lambda _: "nothing is installed"))
    assert {name: reasons(name) for name in NAMES} == before
