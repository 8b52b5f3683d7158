"""GPTQ and AWQ checkpoints, and others that are stored quantized: what is refused and why. No such checkpoint is at hand to be loaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from engine.devices import find_device
from engine.environments import LayeredEnvironment
from engine.loading import NotAppliedError, collect_evidence, load_session, parameter_count
from engine.modelspec import Head, ModelSpec
from engine.registry import discover
from engine.technique import Session, UnsupportedHereError, unsupported_stack

CPU = find_device("cpu")
TINY = ModelSpec(source="local", name="tiny")
BOTH = pytest.mark.parametrize("name", ["gptq", "awq"])


def load(root: Path, *names: str) -> Session:
    return load_session(TINY, [discover().technique(n) for n in names], CPU, 0, root, root, root)


def reason(name: str, model: ModelSpec) -> str | None:
    return unsupported_stack([discover().technique(name)], CPU, model, discover().workload("generation"))


@pytest.fixture
def says_gptq(tiny_model_root: Path, tmp_path: Path) -> Path:
    """The tiny model, whose config says what it is not: for what is decided before any weight is read."""
    shutil.copytree(tiny_model_root / "tiny", tmp_path / "tiny")
    config = tmp_path / "tiny" / "config.json"
    claimed: dict[str, Any] = {"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 32}}
    config.write_text(json.dumps(json.loads(config.read_text()) | claimed))
    return tmp_path


@pytest.fixture
def stored_in_4_bits(tiny_model_root: Path, tmp_path: Path) -> Path:
    """A checkpoint that really is quantized, by bitsandbytes."""
    session = load(tiny_model_root, "bnb_4bit")
    session.model.save_pretrained(tmp_path / "tiny")
    session.tokenizer.save_pretrained(tmp_path / "tiny")
    return tmp_path


@BOTH
def test_without_the_packages_the_reason_is_how_to_get_them(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_ENVIRONMENTS", str(tmp_path))
    assert reason(name, TINY) == f"{name}: needs the gptq environment: python -m engine.environments gptq"


@BOTH
def test_models_that_are_known_not_to_be_quantized_are_refused_by_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LayeredEnvironment, "missing", lambda self, packages: None)
    for model in (ModelSpec(source="bundled", name="smollm2-135m"), ModelSpec(source="shape", name="llama-7b")):
        assert f"{model} is not quantized" in str(reason(name, model))
    assert reason(name, TINY) is None, "only loading can tell"
    assert reason(name, ModelSpec(source="hub", name="org/model", revision="0" * 40)) is None


@BOTH
def test_a_checkpoint_of_plain_weights_is_refused_when_it_is_loaded(name: str, tiny_model_root: Path) -> None:
    with pytest.raises(UnsupportedHereError, match=f"{name}: the config of local:tiny names no quantization.*quant_method {name}"):
        load(tiny_model_root, name)


def test_one_method_is_not_the_other(says_gptq: Path) -> None:
    with pytest.raises(UnsupportedHereError, match="awq: the config of local:tiny names gptq"):
        load(says_gptq, "awq")


@pytest.mark.parametrize("stack", [(), ("gptq",)], ids=str)
def test_in_an_environment_without_the_packages_transformers_says_which(stack: tuple[str, ...], says_gptq: Path) -> None:
    with pytest.raises(UnsupportedHereError, match=r"local:tiny are stored already quantized \(gptq\): .*pip install optimum"):
        load(says_gptq, *stack)


@pytest.mark.parametrize("technique", ["float32", "bfloat16", "hqq", "bnb_4bit", "torchao_int8_weight_only", "torch_dynamic_int8"])
def test_quantized_weights_do_not_pass_for_anything_else(technique: str, stored_in_4_bits: Path) -> None:
    """Else a float32 baseline would be 4-bit underneath, and its evidence would not see it."""
    with pytest.raises(UnsupportedHereError, match=rf"{technique}: .*already quantized \(bitsandbytes\).*take {technique} out of the stack"):
        load(stored_in_4_bits, technique)


def test_as_it_is_stored_a_quantized_checkpoint_loads_and_shows_what_it_is(stored_in_4_bits: Path, tiny_model_root: Path) -> None:
    session = load(stored_in_4_bits)
    layers = collect_evidence(session, [])["model"]["facts"]["linear_layers"]
    assert layers["bitsandbytes.nn.modules.Linear4bit"] == 14
    plain = load(tiny_model_root)
    assert parameter_count(session, Head.CAUSAL_LM) == sum(p.numel() for p in plain.model.parameters()), "counted before they were packed"
    load(stored_in_4_bits, "kv_cache")


@BOTH
def test_plain_layers_are_no_evidence(name: str, tiny_model_root: Path) -> None:
    with pytest.raises(NotAppliedError, match=f"not applied: {name}: no layer is one of GPTQModel's"):
        collect_evidence(load(tiny_model_root), [discover().technique(name)])
