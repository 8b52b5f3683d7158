"""The sizes of a model's parts from its config: linear layers, vectors, embeddings. No torch, no weights.

Knows the families whose blocks the memory planner has formulas for; others get a ValueError that says so.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from engine import settings
from engine.catalogue import BUNDLED, SHAPES
from engine.modelspec import ModelSpec

_GATED = ("llama", "mistral", "qwen2", "qwen3", "smollm3")
"""A root-mean-square norm, attention with rotated queries and keys, a norm, an MLP with a gate: LLaMA's block."""
KNOWN = (*_GATED, "gpt2", "bert")


@dataclass(frozen=True)
class Linear:
    """One matrix of a block, by the last part of its name."""

    name: str
    outputs: int
    inputs: int

    @property
    def elements(self) -> int:
        return self.outputs * self.inputs


@dataclass(frozen=True)
class Architecture:
    """positions: the longest sequence in tokens. vectors: numbers of a block's norms and biases. embeddings: numbers of the matrices outside
    the blocks, without an output head of its own. outside: numbers of the norms and biases there. head: outputs of the head, 0 without."""

    family: str
    dtype: str
    positions: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocab: int
    linears: tuple[Linear, ...]
    vectors: int
    embeddings: tuple[int, ...]
    outside: int
    tied: bool
    head: int

    @property
    def gated(self) -> bool:
        return self.family in _GATED

    @property
    def block_parameters(self) -> int:
        return sum(m.elements for m in self.linears) + self.vectors

    @property
    def head_parameters(self) -> int:
        """Of a head with weights of its own; the embedding's are counted there."""
        return 0 if self.tied else self.head * self.hidden

    @property
    def parameters(self) -> int:
        return self.layers * self.block_parameters + sum(self.embeddings) + self.outside + self.head_parameters

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Of all parameters, vectors of a block as one."""
        block: list[tuple[int, ...]] = [*((m.outputs, m.inputs) for m in self.linears), (self.vectors,)]
        rest: list[tuple[int, ...]] = [*((n // self.hidden, self.hidden) for n in self.embeddings), (self.outside,)]
        return block * self.layers + rest + ([(self.head, self.hidden)] if self.head_parameters else [])


def architecture(model: ModelSpec) -> Architecture:
    """The sizes of a model that its name or its config tells. Raises ValueError with the reason where neither does."""
    return of_config(_config(model), str(model))


def of_config(config: dict[str, Any], name: str) -> Architecture:
    """config: as transformers writes it. name: for messages. Raises ValueError for a family or a size that is not known."""
    family = str(config.get("model_type"))
    if family in _GATED:
        return _gated(family, config)
    if family == "gpt2":
        return _gpt2(config)
    if family == "bert":
        return _bert(config)
    raise ValueError(f"model: there is no memory formula for the architecture {family!r} of {name}; known: {', '.join(KNOWN)}")


def _config(model: ModelSpec) -> dict[str, Any]:
    if model.source in ("shape", "bundled") and model.name not in (SHAPES if model.source == "shape" else BUNDLED):
        raise ValueError(f"model: this version does not know {model}")  # a record of another version may hold it
    if model.source == "shape":
        shape = SHAPES[model.name]
        return {"model_type": shape.model_type, "dtype": shape.dtype, **shape.config}
    if model.source == "bundled":
        return {"dtype": BUNDLED[model.name].dtype, **BUNDLED[model.name].config}
    if model.source == "none":
        raise ValueError("model: there is no model, so there are no weights to plan for; choose one")
    path = settings.local_models_dir() / model.name / "config.json" if model.source == "local" else _in_hub_cache(model)
    try:
        config = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"model: the config.json of {model} cannot be read: {error}") from error
    if not isinstance(config, dict) or "quantization_config" in config:
        raise ValueError(f"model: {model} is stored already quantized, which has no formula here; plan for the model that it was made from")
    return config


def _in_hub_cache(model: ModelSpec) -> Any:
    from pathlib import Path

    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(model.name, "config.json", revision=model.revision)
    if not isinstance(found, str):
        raise ValueError(f"model: the config of {model} is not in the hub's cache here; a run with it, or hf download, puts it there")
    return Path(found)


def _number(config: dict[str, Any], name: str, usual: int | None = None) -> int:
    value = config.get(name)
    value = usual if value is None else value
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"model: its config has no usable {name!r} ({value!r})")
    return value


def _dtype(config: dict[str, Any]) -> str:
    return str(config.get("dtype") or config.get("torch_dtype") or "float32").removeprefix("torch.")


def _gated(family: str, config: dict[str, Any]) -> Architecture:
    hidden, heads = _number(config, "hidden_size"), _number(config, "num_attention_heads")
    kv_heads, head_dim = _number(config, "num_key_value_heads", heads), _number(config, "head_dim", hidden // heads)
    ffn, vocab = _number(config, "intermediate_size"), _number(config, "vocab_size")
    query, key = heads * head_dim, kv_heads * head_dim
    linears = (
        Linear("q_proj", query, hidden), Linear("k_proj", key, hidden), Linear("v_proj", key, hidden), Linear("o_proj", hidden, query),
        Linear("gate_proj", ffn, hidden), Linear("up_proj", ffn, hidden), Linear("down_proj", hidden, ffn),
    )  # fmt: skip
    biases = query + 2 * key if family == "qwen2" or config.get("attention_bias") else 0
    head_norms = 2 * head_dim if family == "qwen3" else 0
    return Architecture(
        family, _dtype(config), _number(config, "max_position_embeddings", 2048), hidden, _number(config, "num_hidden_layers"), heads, kv_heads, head_dim,
        ffn, vocab, linears, vectors=2 * hidden + biases + head_norms, embeddings=(vocab * hidden,), outside=hidden,
        tied=bool(config.get("tie_word_embeddings", False)), head=vocab,
    )  # fmt: skip


def _gpt2(config: dict[str, Any]) -> Architecture:
    """transformers' defaults are GPT-2 small."""
    hidden, heads = _number(config, "n_embd", 768), _number(config, "n_head", 12)
    ffn, vocab = _number(config, "n_inner", 4 * hidden), _number(config, "vocab_size", 50257)
    positions = _number(config, "n_positions", 1024)
    linears = (Linear("c_attn", 3 * hidden, hidden), Linear("c_proj", hidden, hidden), Linear("c_fc", ffn, hidden), Linear("c_proj", hidden, ffn))
    return Architecture(
        "gpt2", _dtype(config), positions, hidden, _number(config, "n_layer", 12), heads, heads, hidden // heads, ffn, vocab, linears,
        vectors=3 * hidden + hidden + ffn + hidden + 4 * hidden, embeddings=(vocab * hidden, positions * hidden),
        outside=2 * hidden, tied=True, head=vocab,
    )  # fmt: skip


def _bert(config: dict[str, Any]) -> Architecture:
    """An encoder with its pooler, without a head: a classifier's has a few thousand numbers."""
    hidden, heads = _number(config, "hidden_size"), _number(config, "num_attention_heads")
    ffn, vocab = _number(config, "intermediate_size"), _number(config, "vocab_size")
    square = [Linear(name, hidden, hidden) for name in ("query", "key", "value", "dense")]
    positions = _number(config, "max_position_embeddings", 512)
    embeddings = (vocab, positions, _number(config, "type_vocab_size", 2), hidden)  # and the pooler's matrix
    return Architecture(
        "bert", _dtype(config), positions, hidden, _number(config, "num_hidden_layers"), heads, heads, hidden // heads, ffn, vocab,
        (*square, Linear("dense", ffn, hidden), Linear("dense", hidden, ffn)),
        vectors=4 * hidden + ffn + hidden + 4 * hidden, embeddings=tuple(n * hidden for n in embeddings), outside=2 * hidden + hidden,
        tied=True, head=0,
    )  # fmt: skip
