"""What a backward pass keeps, by formula, against torch's own tracker of tensors on small models of the same families."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from engine.footprint import Footprint, Load
from engine.memory_split import split_peak
from engine.planning.activations import PerToken
from engine.planning.architecture import of_config
from engine.planning.planner import WORKSPACE_BYTES, plan_of
from engine.training import Training

_LLAMA: dict[str, Any] = {
    "model_type": "llama", "hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 4,
    "intermediate_size": 352, "vocab_size": 1024, "tie_word_embeddings": False,
}  # fmt: skip
_GPT2: dict[str, Any] = {"model_type": "gpt2", "n_embd": 128, "n_layer": 4, "n_head": 4, "vocab_size": 1024}
_NO_DROPOUT = {"attn_pdrop": 0.0, "resid_pdrop": 0.0, "embd_pdrop": 0.0}
BATCH, LENGTH = 8, 256


def tracked(config: dict[str, Any], dtype: str) -> int:
    """Bytes of all live tensors at the peak of the second step."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config), dtype=getattr(torch, dtype)).train()
    training = Training(model, 1e-4)
    training.start()
    ids = torch.randint(3, config["vocab_size"], (BATCH, LENGTH))
    training.step([ids])
    return sum(split_peak(model, training.optimizer, "cpu", lambda marks: training.step([ids], marks)).values())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("config", [_LLAMA, _GPT2], ids=["llama", "gpt2"])
def test_the_peak_of_a_step_is_what_the_tracker_sees(config: dict[str, Any], dtype: str) -> None:
    sizes = of_config(config | {"dtype": dtype}, "x")
    found = plan_of(sizes, Footprint(dtype), Load({}, BATCH, LENGTH, micro_batches=1))
    assert found.moment == "loss"
    # the formula counts the masks of GPT-2's two dropouts, the model here has none: CPUs make other masks than GPUs
    masks = 0 if sizes.gated else 3 * sizes.hidden * sizes.layers * BATCH * LENGTH
    measured = tracked(config | (_NO_DROPOUT if config is _GPT2 else {}), dtype)
    assert found.peak_memory_bytes - 2 * WORKSPACE_BYTES - masks == pytest.approx(measured, rel=0.01)


def test_a_block_of_llama_7b_counted_by_hand() -> None:
    """float32, hidden 4096, 32 heads, MLP 11008: two norms keep input, normed and result; q, k, v, result and a log-sum a head; gate, SiLU,
    up and product."""
    from engine.modelspec import ModelSpec
    from engine.planning.architecture import architecture

    model = architecture(ModelSpec.model_validate("llama-7b"))
    full = PerToken(model, Footprint("float32"), 512)
    assert full.kept_by_block() == 2 * 3 * 4 * 4096 + 4 * 4 * 4096 + 4 * 32 + 4 * 4 * 11008
    half = PerToken(model, Footprint("bfloat16"), 512)
    assert half.kept_by_block() == 2 * (4 + 2 + 2) * 4096 + 4 * 2 * 4096 + 4 * 32 + 4 * 2 * 11008
    mixed = PerToken(model, Footprint("float32", autocast=True), 512)
    assert mixed.kept_by_block() == (4 + 4 + 3 * 2) * 4096 + (4 + 4 + 2 * 2) * 4096 + 4 * 2 * 4096 + 4 * 32 + 4 * 2 * 11008


def test_scores_are_held_where_a_kernel_holds_them() -> None:
    model = of_config(_LLAMA | {"num_key_value_heads": 2}, "x")
    at = {length: PerToken(model, Footprint("float32"), length).kept_by_attention() for length in (512, 1024)}
    assert at[1024] - at[512] == 4 * 4 * 512  # shared keys in float32: a float32 score for each of 4 heads and 512 more tokens
    fused = {length: PerToken(model, Footprint("bfloat16"), length).kept_by_attention() for length in (512, 1024)}
    assert fused[512] == fused[1024]
    eager = {length: PerToken(model, Footprint("bfloat16", attention="eager"), length).kept_by_attention() for length in (512, 1024)}
    assert eager[1024] - eager[512] == (4 + 2) * 4 * 512
