"""Sizes from configs: every family counted against the model that transformers builds, and configs that cannot be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

from engine.catalogue import BUNDLED, SHAPES
from engine.modelspec import ModelSpec
from engine.planning.architecture import architecture, of_config

_BASE = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 96, "vocab_size": 300}


@pytest.mark.parametrize("config", [
    {"model_type": "llama", **_BASE}, {"model_type": "llama", **_BASE, "tie_word_embeddings": True, "head_dim": 32},
    {"model_type": "mistral", **_BASE}, {"model_type": "qwen2", **_BASE}, {"model_type": "qwen3", **_BASE, "head_dim": 16},
    {"model_type": "smollm3", **_BASE, "pad_token_id": 0, "tie_word_embeddings": True},
    {"model_type": "gpt2", "n_embd": 64, "n_layer": 3, "n_head": 4, "vocab_size": 300, "n_positions": 50},
    {"model_type": "bert", **{k: v for k, v in _BASE.items() if k != "num_key_value_heads"}, "max_position_embeddings": 40},
], ids=lambda c: f"{c['model_type']}{'-tied' * bool(c.get('tie_word_embeddings'))}")  # fmt: skip
def test_parameters_are_those_of_the_real_model(config: dict[str, Any]) -> None:
    kind = AutoModel if config["model_type"] == "bert" else AutoModelForCausalLM
    with torch.device("meta"):
        model = kind.from_config(AutoConfig.for_model(**config))
    model.tie_weights()
    found = of_config(config, "x")
    assert found.parameters == sum(p.numel() for p in model.parameters())
    assert sum(torch.Size(shape).numel() for shape in found.shapes) == found.parameters


@pytest.mark.parametrize("name", [*BUNDLED, *SHAPES])
def test_the_catalogue_says_the_same(name: str) -> None:
    known = (BUNDLED | SHAPES)[name]
    classifier_head = 384 * 2 + 2 if name == "minilm-l6-reviews" else 0
    found = architecture(ModelSpec.model_validate(name))
    assert (found.parameters + classifier_head, found.positions) == (known.parameters, known.positions)


@pytest.mark.parametrize(("config", "message"), [
    ({"model_type": "mamba"}, "no memory formula for the architecture 'mamba' of local:mine"),
    ({"model_type": "llama", **_BASE, "hidden_size": "wide"}, "its config has no usable 'hidden_size' .'wide'."),
    ({"model_type": "llama"}, "no usable 'hidden_size' .None."),
    ({"model_type": "llama", **_BASE, "quantization_config": {}}, "stored already quantized"),
    ([1, 2], "stored already quantized|cannot be read"), (None, "cannot be read"),
])  # fmt: skip
def test_what_has_no_formula_says_so(config: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_MODELS", str(tmp_path))
    (tmp_path / "mine").mkdir()
    if config is not None:
        (tmp_path / "mine" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=f"^model: .*({message})"):
        architecture(ModelSpec.model_validate("local:mine"))


def test_a_model_of_the_hub_whose_config_is_not_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match="^model: the config of hub:a/b@.* is not in the hub's cache"):
        architecture(ModelSpec.model_validate(f"hub:a/b@{'0' * 40}"))


def test_no_model_has_no_sizes() -> None:
    with pytest.raises(ValueError, match="^model: there is no model"):
        architecture(ModelSpec.model_validate("none"))


@pytest.mark.parametrize("source", ["shape", "bundled"])
def test_a_model_of_another_version_is_a_clear_error(source: str) -> None:
    with pytest.raises(ValueError, match="^model: this version does not know"):
        architecture(ModelSpec(source=source, name="llama-70b"))
