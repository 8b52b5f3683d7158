"""The quantized KV cache: really packed, counted to the byte, its loss seen, its quality that of one token after the other.

Tests, but of the hqq environment: tests/experiments/inference/test_kv_cache.py starts them there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.devices import find_device
from engine.loading import NotAppliedError, collect_evidence, load_session
from engine.measurement import Measurement
from engine.meter import Meter
from engine.modelspec import ModelSpec
from engine.quality import QualityReference, measure, windows
from engine.registry import discover
from engine.technique import Session, Technique, UnsupportedHereError
from engine.texts import load_text
from experiments.workloads.generation import Generation
from tests.experiments.inference.caches import assert_equals_token_by_token

CPU = find_device("cpu")
MODEL = ModelSpec(source="local", name="tiny")
NUMBERS_PER_TOKEN = 2 * 2 * 2 * 16  # layers, keys and values, heads, size of a head


def quantized(**options: Any) -> Technique:
    """The tiny model's heads of 16 numbers need small groups."""
    return discover().technique("quantized_kv_cache", {"group_size": 8} | options)


def load(root: Path, *stack: Technique) -> Session:
    return load_session(MODEL, stack, CPU, 0, root, root, root)


def test_groups_that_do_not_fit_into_a_head_are_unsupported_with_those_that_do(tiny_model_root: Path) -> None:
    with pytest.raises(UnsupportedHereError, match="heads of 16 numbers cannot be packed in groups of 32 with 4 bits; choose 8$"):
        load(tiny_model_root, quantized(group_size=32))
    with pytest.raises(UnsupportedHereError, match="in groups of 8 with 2 bits; choose more bits"):
        load(tiny_model_root, quantized(bits=2))


@pytest.mark.parametrize("bits", [4, 8])
def test_it_is_really_packed_and_says_so(bits: int, tiny_model_root: Path) -> None:
    asked = quantized(bits=bits)
    session = load(tiny_model_root, asked)
    facts = collect_evidence(session, [asked])["quantized_kv_cache"]["facts"]
    assert facts["cache"] == "QuantizedCache" and facts["bits"] == [bits] and facts["group_size"] == [8]
    assert facts["layers"] == {"HQQQuantizedLayer": 2}
    assert facts["numbers_packed"] == 3 * NUMBERS_PER_TOKEN, "the prompt"
    assert facts["bytes_waiting_unpacked"] == NUMBERS_PER_TOKEN * 4, "the first new token"
    # a scale and a zero in float32 for 8 numbers
    assert (facts["bytes_per_number"], facts["bytes_per_number_before"]) == (bits / 8 + 2 * 4 / 8, 4)


def test_another_cache_than_asked_for_is_found_out(tiny_model_root: Path) -> None:
    asked = quantized()
    session = load(tiny_model_root)
    with pytest.raises(NotAppliedError, match="the cache is DynamicCache, not QuantizedCache"):
        collect_evidence(session, [asked])
    session = load(tiny_model_root, quantized(residual_length=64))
    with pytest.raises(NotAppliedError, match=r"residual_length is \[64\], 128 was asked for"):
        collect_evidence(session, [asked])


def test_layers_that_pack_nothing_are_found_out(tiny_model_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = quantized()
    session = load(tiny_model_root, asked)
    layer = type(session.cache.new(1, 1).layers[0])  # type: ignore[union-attr]
    monkeypatch.setattr(layer, "_quantize", lambda self, tensor, axis: tensor.clone())
    monkeypatch.setattr(layer, "_dequantize", lambda self, tensor: tensor)
    with pytest.raises(NotAppliedError, match="a number takes 4 bytes, as many as it takes unpacked"):
        collect_evidence(session, [asked])


@pytest.mark.parametrize(("residual", "waiting"), [(128, 5), (4, 1)])
def test_bytes_are_those_of_the_formula(residual: int, waiting: int, tiny_model_root: Path, tmp_path: Path) -> None:
    """16 tokens of prompt and 5 of the 6 new ones are held; what is beyond the last full `residual` waits unpacked."""
    meter = Meter(tmp_path, "cpu")
    session = load(tiny_model_root, quantized(residual_length=residual))
    Generation(prompt_tokens=16, new_tokens=(6,), repeats=1, max_warmups=0).run(session, meter)
    held = next(m for m in meter.recorded if m.metric == "kv_cache_bytes")
    assert held.value == NUMBERS_PER_TOKEN * ((21 - waiting) * (4 / 8 + 2 * 4 / 8) + waiting * 4)


def quality(session: Session, folder: Path, *, baseline: bool = False) -> dict[str, Measurement]:
    meter = Meter(folder, "cpu")
    reference = QualityReference(folder / "logits", {"model": "tiny"}, is_baseline=baseline)
    measure(session, meter, windows(session, load_text(folder).content, 256, 128), reference, {})
    return {m.metric: m for m in meter.recorded}


def test_what_it_costs_is_seen_and_exact_caches_cost_nothing(tiny_model_root: Path, tmp_path: Path) -> None:
    base = quality(load(tiny_model_root), tmp_path, baseline=True)
    exact = quality(load(tiny_model_root, discover().technique("kv_cache", {"mode": "static"})), tmp_path)
    assert exact["perplexity"] == base["perplexity"] and exact["kl_divergence"].value == pytest.approx(0, abs=1e-9)
    lossy = quality(load(tiny_model_root, quantized(residual_length=16)), tmp_path)
    finer = quality(load(tiny_model_root, quantized(bits=8, residual_length=16)), tmp_path)
    assert lossy["kl_divergence"].value > max(1e-7, 10 * finer["kl_divergence"].value)
    assert lossy["perplexity"].value != base["perplexity"].value


def test_steps_of_its_residual_length_equal_one_token_after_the_other(tiny_model_root: Path) -> None:
    session = load(tiny_model_root, quantized(residual_length=16))
    ids = torch.arange(2, 98).unsqueeze(0)
    assert_equals_token_by_token(session, ids)
