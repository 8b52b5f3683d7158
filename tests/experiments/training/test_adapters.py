"""Adapters: how many parameters they train at the chapter's size, what they weigh on disk, and what merging does."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from engine.catalogue import SHAPES
from engine.meter import Meter
from engine.modelspec import ModelSpec
from engine.quality import perplexity, windows
from engine.technique import ModelPlan, Session
from engine.texts import load_text
from experiments.adapters.lora import trained_share
from experiments.adapters.measured import record_merged, record_size
from tests.experiments.training.test_techniques import CPU, WORKLOAD, build, load, train


def test_the_chapters_adapter_on_a_7b_model(tmp_path: Path) -> None:
    """8,388,608 parameters are 0.12 % of LLaMA-7B's; the chapter prints 4 million and 0.06 %. Nothing of the 7B is allocated."""
    from transformers import AutoConfig, AutoModelForCausalLM

    shape = SHAPES["llama-7b"]
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(shape.model_type, **shape.config))
    spec = ModelSpec(source="shape", name="llama-7b")
    session = Session(model, None, CPU, ModelPlan("float32"), spec, 0, tmp_path, training=WORKLOAD.training(model))
    lora = build("lora", rank=16, alpha=32, dropout=0.05, target_modules=["q_proj", "v_proj"])
    lora.apply(session)
    assert trained_share(session.model) == "8,388,608 / 6,746,804,224 (0.12%)"


@pytest.mark.parametrize("base", ["float32", "bnb_4bit"])
def test_size_and_merged_quality(base: str, tiny_model_root: Path, tmp_path: Path) -> None:
    session = load(tiny_model_root, build(base), build("lora", rank=4))
    training = session.training
    assert training is not None and training.adapter is session.model
    train(session, 4)
    session.model.eval()
    meter, chunks, point = Meter(tmp_path, "cpu"), windows(session, load_text(tmp_path).content, 2048, 256), {"tokens": 2048}
    record_size(training, meter)
    trained = sum(p.numel() for p in training.trainable())
    assert 4 * trained < (meter.recorded[0].value or 0) < 4 * trained + 10_000
    perplexity(session, meter, chunks, "perplexity", point)
    with torch.no_grad():
        before = session.model(chunks[0]).logits
    record_merged(session, meter, chunks, point)
    apart, merged = meter.recorded[-2:]
    assert merged.metric == "merged_perplexity" and len(merged.samples) == len(apart.samples) == 16
    assert merged.value == pytest.approx(apart.value, rel=1e-3 if base == "float32" else 0.2)
    assert not any("lora" in name for name, _ in session.model.named_modules() if "base_layer" in name), "no adapter is left in the model"
    ratio, (low, high) = meter.details["merged"]["ratio"], meter.details["merged"]["interval"]
    assert ratio == pytest.approx(merged.value / apart.value) and low <= ratio <= high
    if base == "float32":
        whole = dataclasses.replace(session, model=session.model.base_model.model)
        with torch.no_grad():
            assert torch.allclose(whole.model(chunks[0]).logits, before, atol=1e-4)
