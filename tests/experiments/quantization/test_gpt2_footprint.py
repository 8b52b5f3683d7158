"""The chapter's GPT-2 figures, 548.31 to 142.12 MB, on GPT-2 itself: what its call does, with random weights, which take as many bytes."""

from __future__ import annotations

import warnings

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from engine.memory import storage_bytes
from experiments.quantization.torch_dynamic_int8 import convert_conv1d

PARAMETERS = 124_439_808
HEAD = 50_257 * 768


def quantized(*, converted: bool) -> torch.nn.Module:
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("gpt2"), dtype=torch.float32).eval()
    assert storage_bytes(model) == PARAMETERS * 4, "498 MB; the chapter's 548 include masks that transformers no longer keeps"
    if converted:
        convert_conv1d(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)


def test_the_chapters_call_makes_gpt2_larger() -> None:
    """Its projections are Conv1D, no nn.Linear: only the head is quantized, which unties it from the embedding that stays float32."""
    model = quantized(converted=False)
    layers = [n for n, m in model.named_modules() if isinstance(m, torch.ao.nn.quantized.dynamic.Linear)]
    assert layers == ["lm_head"]
    assert storage_bytes(model) >= PARAMETERS * 4 + HEAD, "the int8 copy of the head comes on top: 537 MB in place of 142"


def test_with_its_layers_made_linear_it_is_still_twice_what_the_chapter_says() -> None:
    size = storage_bytes(quantized(converted=True))
    assert 275e6 < size < 290e6
    assert PARAMETERS * 4 / size < 2, "not 3.86: the embeddings are float32, and the head is there twice"
