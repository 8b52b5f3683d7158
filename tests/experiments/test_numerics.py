"""Every technique on a tiny random model in this process: applies, proves it, keeps the function close, saves what it claims."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.devices import find_device
from engine.environments import CORE, ENVIRONMENTS
from engine.loading import NotAppliedError, collect_evidence, load_session
from engine.memory import storage_bytes
from engine.modelspec import ModelSpec
from engine.registry import discover
from engine.technique import Session, Technique, unsupported_stack
from tests.tiny_model import make

CPU = find_device("cpu")
MODEL = ModelSpec(source="local", name="tiny")
HERE = [
    cls() for cls in discover().techniques.values()
    if cls.environment == CORE and unsupported_stack([cls()], CPU, MODEL, discover().workload("generation")) is None
]  # fmt: skip
IDS = torch.tensor([[2, 40, 41, 42, 50, 60, 61, 7]])


def load(root: Path, *stack: Technique) -> Session:
    return load_session(MODEL, stack, CPU, 0, root, root, root)


def logits(session: Session) -> torch.Tensor:
    with torch.inference_mode():
        return session.model(IDS).logits.float()


# Compiling takes half a minute: once, with a real generation, in tests/experiments/runtime/test_torch_compile.py.
QUICK = [t for t in HERE if t.name != "torch_compile"]




def test_what_does_not_run_on_this_cpu_says_what_is_missing() -> None:
    """Those of layered environments have their own tests; what is not there names the command that installs it."""
    here = {t.name for t in HERE}
    for name, cls in discover().techniques.items():
        workload = discover().workload("training_step" if cls.phase == "training" else "generation")
        reason = unsupported_stack([cls()], CPU, MODEL, workload)
        if cls.environment != CORE:
            assert reason is None or ENVIRONMENTS[cls.environment].install_command in reason, name
        else:
            assert reason is None or re.search("GPU|cuda|pip install", reason or ""), (name, reason)
    assert {"float32", "bnb_4bit", "kv_cache", "torchscript", "torchao_int4_weight_only"} <= here


@pytest.mark.parametrize("technique", QUICK, ids=lambda t: t.name)
def test_applies_proves_and_keeps_the_function(technique: Technique, tiny_model_root: Path) -> None:
    session = load(tiny_model_root, technique)
    evidence = collect_evidence(session, [technique])
    assert evidence[technique.name]["problem"] is None
    assert evidence[technique.name]["facts"]
    out, reference = logits(session), logits(load(tiny_model_root))
    assert out.shape == reference.shape
    assert torch.isfinite(out).all()
    assert (out - reference).abs().max() < 0.35 * reference.abs().max(), "close to the model that it was made from"


@pytest.mark.parametrize("technique", HERE, ids=lambda t: t.name)
def test_sabotaged_technique_is_found_out(technique: Technique, tiny_model_root: Path) -> None:
    """The same class with its effect removed must fail its own evidence. float32, the dynamic cache and sdpa are what happens anyway."""
    sabotaged = type("Sabotaged", (type(technique),), {"prepare": lambda self, plan: plan, "apply": lambda self, session: None})
    sabotaged.__module__ = __name__
    options: dict[str, Any] = {"kv_cache": {"mode": "static"}, "attention": {"implementation": "eager"}}.get(technique.name, {})
    broken = sabotaged(**options)
    session = load(tiny_model_root, discover().technique("bfloat16") if technique.name == "float32" else broken)
    with pytest.raises(NotAppliedError, match=f"not applied: {technique.name}"):
        collect_evidence(session, [broken])


@pytest.mark.parametrize(
    ("name", "got", "wanted"),
    [
        ("bnb_4bit", {"quant_type": "fp4"}, {"quant_type": "nf4"}),
        ("bnb_4bit", {"double_quant": False}, {"double_quant": True}),
        ("bnb_4bit", {"compute_dtype": "float32"}, {"compute_dtype": "bfloat16"}),
        ("bnb_int8", {"threshold": 6.0}, {"threshold": 3.5}),
    ],
    ids=lambda v: str(v),
)
def test_options_are_read_back_from_the_layers(name: str, got: dict[str, Any], wanted: dict[str, Any], tiny_model_root: Path) -> None:
    applied, asked = discover().technique(name, got), discover().technique(name, wanted)
    session = load(tiny_model_root, applied)
    ((option, value),) = got.items()
    assert collect_evidence(session, [applied])[name]["facts"][option] == {str(value): 14}
    with pytest.raises(NotAppliedError, match=f"{option} is {value} in 14 layers, {wanted[option]} was asked for"):
        collect_evidence(session, [asked])


def test_one_layer_with_another_option_is_found_out(tiny_model_root: Path) -> None:
    technique = discover().technique("bnb_int8")
    session = load(tiny_model_root, technique)
    session.model.model.layers[1].mlp.up_proj.state.threshold = 0.0
    with pytest.raises(NotAppliedError, match="threshold is 0.0 in 1 layers, 6.0 was asked for"):
        collect_evidence(session, [technique])


@pytest.mark.parametrize(
    ("name", "below"), [("bfloat16", 0.51), ("float16", 0.51), ("bnb_int8", 0.70), ("bnb_4bit", 0.60)], ids=lambda v: str(v)
)
def test_weights_shrink(name: str, below: float, tiny_model_root: Path) -> None:
    """Embeddings are a third of this tiny model and stay as they are, so the quantizers cannot reach their ideal ratio."""
    technique = discover().technique(name)
    ratio = storage_bytes(load(tiny_model_root, technique).model) / storage_bytes(load(tiny_model_root).model)
    assert 0.1 < ratio < below


def test_gpt2_conv1d_layers_are_quantized(tmp_path: Path) -> None:
    """Without the conversion, dynamic quantization of GPT-2 touches the output head alone."""
    make(tmp_path / "tiny", "gpt2")
    technique = discover().technique("torch_dynamic_int8")
    session = load(tmp_path, technique)
    facts = collect_evidence(session, [technique])["torch_dynamic_int8"]["facts"]
    assert facts["quantized_linear_layers"] == 2 * 4 + 1
    assert facts["plain_linear_layers"] == 0
    assert (logits(session) - logits(load(tmp_path))).abs().max() < 0.1


@pytest.mark.parametrize("stored", ["bfloat16", "float16"])
def test_dynamic_int8_of_a_model_stored_in_16_bit(stored: str, tiny_model_root: Path, tmp_path: Path) -> None:
    """Its kernels refuse 16-bit inputs, so everything else has to be float32."""
    half = load(tiny_model_root, discover().technique(stored))
    half.model.save_pretrained(tmp_path / "tiny")
    half.tokenizer.save_pretrained(tmp_path / "tiny")
    assert load(tmp_path).model.dtype == getattr(torch, stored), "the model as it is stored"
    technique = discover().technique("torch_dynamic_int8")
    session = load(tmp_path, technique)
    assert collect_evidence(session, [technique])["torch_dynamic_int8"]["facts"]["other_parameter_dtypes"] == ["torch.float32"]
    assert (logits(session) - logits(load(tmp_path))).abs().max() < 0.1
    session.model.bfloat16()
    with pytest.raises(NotAppliedError, match="the rest of the model is torch.bfloat16"):
        collect_evidence(session, [technique])


@pytest.mark.parametrize("mode", ["off", "dynamic", "static"])
def test_exact_caches_give_the_same_tokens(mode: str, tiny_model_root: Path) -> None:
    def tokens(session: Session) -> list[int]:
        out = session.model.generate(
            IDS, attention_mask=torch.ones_like(IDS), do_sample=False, max_new_tokens=24, min_new_tokens=24, **session.generate_options
        )
        return [int(t) for t in out[0]]

    assert tokens(load(tiny_model_root, discover().technique("kv_cache", {"mode": mode}))) == tokens(load(tiny_model_root))
