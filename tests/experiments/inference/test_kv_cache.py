"""The KV cache: what cannot keep one says so; a quantized one is really packed, counted to the byte, and its loss is seen."""

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
from engine.technique import LossyCache, Session, Technique, UnsupportedHereError, unsupported_stack
from engine.texts import load_text
from experiments.inference import quantized_cache
from experiments.workloads.generation import Generation

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.:DeprecationWarning")  # hqq's own import

CPU = find_device("cpu")
MODEL = ModelSpec(source="local", name="tiny")
BACKENDS = [b for b in quantized_cache.BITS if quantized_cache.missing_package(b) is None]
NUMBERS_PER_TOKEN = 2 * 2 * 2 * 16  # layers, keys and values, heads, size of a head


def kv_cache(**options: Any) -> Technique:
    return discover().technique("kv_cache", options)


def quantized(**options: Any) -> Technique:
    """The tiny model's heads of 16 numbers need small groups."""
    return kv_cache(**{"mode": "quantized", "group_size": 8} | options)


def load(root: Path, *stack: Technique) -> Session:
    return load_session(MODEL, stack, CPU, 0, root, root, root)


def test_workloads_that_generate_nothing_refuse_it() -> None:
    for name, workload in discover().workloads.items():
        reason = unsupported_stack([kv_cache()], CPU, MODEL, workload())
        if workload.generates:
            assert reason is None, name
        elif name == "attention_kernel":
            assert reason, "it has no model"
        else:
            assert reason == f"kv_cache: the workload {name} generates no tokens, so there is nothing to keep; take it out of the stack"
    assert not discover().workloads["multiple_choice"].generates, "it reads each question in one pass"


def test_a_missing_package_is_named_with_its_command_and_in_that_mode_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantized_cache, "installed", lambda distribution: False)
    workload = discover().workload("generation")
    for backend, package in (("hqq", "hqq"), ("quanto", "optimum-quanto")):
        said = unsupported_stack([quantized(backend=backend)], CPU, MODEL, workload)
        assert said == f"kv_cache: backend {backend} needs {package}: pip install {package}"
    for mode in ("off", "dynamic", "static"):
        assert unsupported_stack([kv_cache(mode=mode)], CPU, MODEL, workload) is None


@pytest.mark.parametrize(("options", "message"), [
    ({"mode": "dynamic", "nbits": 2}, "nbits: only the mode quantized has it; leave it out with dynamic"),
    ({"residual_length": 64}, "residual_length: only the mode quantized has it"),
    ({"mode": "quantized", "backend": "quanto", "nbits": 8}, "nbits: quanto has 2 and 4; choose one of them, or the backend hqq"),
])  # fmt: skip
def test_options_without_effect_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kv_cache(**options)
    assert kv_cache(mode="static", nbits=4) == kv_cache(mode="static"), "a form gives back defaults"


def test_groups_that_do_not_fit_into_a_head_are_unsupported_with_those_that_do(tiny_model_root: Path) -> None:
    with pytest.raises(UnsupportedHereError, match="heads of 16 numbers cannot be packed in groups of 32 with 4 bits; choose 8$"):
        load(tiny_model_root, kv_cache(mode="quantized"))
    with pytest.raises(UnsupportedHereError, match="in groups of 8 with 2 bits; choose more bits"):
        load(tiny_model_root, quantized(nbits=2))


def generated(session: Session, prompt: int, new: int) -> tuple[list[int], Any]:
    ids = torch.arange(2, 2 + prompt).unsqueeze(0)
    out = session.model.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=new, min_new_tokens=new, pad_token_id=0,
        return_dict_in_generate=True, **session.call_options(),
    )  # fmt: skip
    return [int(t) for t in out.sequences[0]], out.past_key_values


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("nbits", [4, 8])
def test_it_is_really_packed_and_says_so(backend: str, nbits: int, tiny_model_root: Path) -> None:
    if nbits not in quantized_cache.BITS[backend]:
        return
    asked = quantized(backend=backend, nbits=nbits)
    session = load(tiny_model_root, asked)
    facts = collect_evidence(session, [asked])["kv_cache"]["facts"]
    assert facts["cache"] == "QuantizedCache" and facts["nbits"] == [nbits] and facts["group_size"] == [8]
    assert facts["layers"] == {quantized_cache._LAYER[backend]: 2}
    assert facts["numbers_packed"] == 3 * NUMBERS_PER_TOKEN, "the prompt"
    assert facts["bytes_waiting_unpacked"] == NUMBERS_PER_TOKEN * 4, "the first new token"
    # a scale and a zero in float32 for 8 numbers
    assert (facts["bytes_per_number"], facts["bytes_per_number_before"]) == (nbits / 8 + 2 * 4 / 8, 4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_another_cache_than_asked_for_is_found_out(backend: str, tiny_model_root: Path) -> None:
    asked = quantized(backend=backend)
    session = load(tiny_model_root)
    with pytest.raises(NotAppliedError, match="the cache is DynamicCache, not QuantizedCache"):
        collect_evidence(session, [asked])
    session = load(tiny_model_root, quantized(backend=backend, residual_length=64))
    with pytest.raises(NotAppliedError, match=r"residual_length is \[64\], 128 was asked for"):
        collect_evidence(session, [asked])


@pytest.mark.parametrize("backend", BACKENDS)
def test_layers_that_pack_nothing_are_found_out(backend: str, tiny_model_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = quantized(backend=backend)
    session = load(tiny_model_root, asked)
    layer = type(session.cache.new().layers[0])  # type: ignore[union-attr]
    monkeypatch.setattr(layer, "_quantize", lambda self, tensor, axis: tensor.clone())
    monkeypatch.setattr(layer, "_dequantize", lambda self, tensor: tensor)
    with pytest.raises(NotAppliedError, match="a number takes 4 bytes, as many as it takes unpacked"):
        collect_evidence(session, [asked])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("residual", "waiting"), [(128, 5), (4, 1)])
def test_bytes_are_those_of_the_formula(backend: str, residual: int, waiting: int, tiny_model_root: Path, tmp_path: Path) -> None:
    """16 tokens of prompt and 5 of the 6 new ones are held; what is beyond the last full `residual` waits unpacked."""
    meter = Meter(tmp_path, "cpu")
    session = load(tiny_model_root, quantized(backend=backend, residual_length=residual))
    Generation(prompt_tokens=16, new_tokens=(6,), repeats=1, max_warmups=0).run(session, meter)
    held = next(m for m in meter.recorded if m.metric == "kv_cache_bytes")
    assert held.value == NUMBERS_PER_TOKEN * ((21 - waiting) * (4 / 8 + 2 * 4 / 8) + waiting * 4)


def quality(session: Session, folder: Path, *, baseline: bool = False) -> dict[str, Measurement]:
    meter = Meter(folder, "cpu")
    reference = QualityReference(folder / "logits", {"model": "tiny"}, is_baseline=baseline)
    measure(session, meter, windows(session, load_text(folder).content, 256, 128), reference, {})
    return {m.metric: m for m in meter.recorded}


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_it_costs_is_seen_and_exact_caches_cost_nothing(backend: str, tiny_model_root: Path, tmp_path: Path) -> None:
    base = quality(load(tiny_model_root), tmp_path, baseline=True)
    exact = quality(load(tiny_model_root, kv_cache(mode="static")), tmp_path)
    assert exact["perplexity"] == base["perplexity"] and exact["kl_divergence"].value == pytest.approx(0, abs=1e-9)
    lossy = quality(load(tiny_model_root, quantized(backend=backend, residual_length=16)), tmp_path)
    finer = [quality(load(tiny_model_root, quantized(nbits=8, residual_length=16)), tmp_path)] if backend == "hqq" else []
    assert lossy["kl_divergence"].value > max([1e-7, *(10 * f["kl_divergence"].value for f in finer)])
    assert lossy["perplexity"].value != base["perplexity"].value


@pytest.mark.parametrize("backend", BACKENDS)
def test_steps_of_its_residual_length_equal_one_token_after_the_other(backend: str, tiny_model_root: Path) -> None:
    session = load(tiny_model_root, quantized(backend=backend, residual_length=16))
    ids = torch.arange(2, 98).unsqueeze(0)
    assert_equals_token_by_token(session, ids)


def assert_equals_token_by_token(session: Session, ids: torch.Tensor) -> None:
    from engine.quality import log_probabilities

    assert session.cache is not None
    ((found, _),) = log_probabilities(session, [ids])
    cache, prompt, logits = session.cache.new(), sum(session.cache.steps), []
    with torch.inference_mode():
        for start, end in [(0, prompt), *((i, i + 1) for i in range(prompt, ids.shape[1]))]:
            mask = torch.ones(1, end, dtype=torch.int64)
            logits.append(session.model(ids[:, start:end], attention_mask=mask, past_key_values=cache, use_cache=True).logits[0])
        whole = torch.log_softmax(session.model(ids, use_cache=False).logits[0, :-1], -1)
    expected = torch.log_softmax(torch.cat(logits)[:-1], -1)
    lost = (expected - whole).abs().max()
    assert (found - expected).abs().max() < 0.01 * lost, "rounding moves a packed number now and then, which is nothing beside the packing"


def test_quality_goes_through_a_lossy_cache_whatever_makes_it(tiny_model_root: Path) -> None:
    """transformers' own float8 cache needs no package; it packs every token at once."""
    from transformers import QuantizedCache

    session = load(tiny_model_root)
    session.cache = LossyCache(lambda: QuantizedCache("fp8", session.model.config), (16,))
    assert_equals_token_by_token(session, torch.arange(2, 98).unsqueeze(0))
    a, cache = generated(session, 8, 16)
    assert type(cache).__name__ == "QuantizedCache" and cache.get_seq_length() == 8 + 15
    assert generated(session, 8, 16)[0] == a, "each call has a cache of its own"


@pytest.mark.slow
def test_exact_caches_give_the_real_model_the_same_tokens(bundled: Path) -> None:
    tokens = {}
    for mode in ("off", "dynamic", "static"):
        stack = [discover().technique("float32"), kv_cache(mode=mode)]
        model = ModelSpec(source="bundled", name="smollm2-135m")
        session = load_session(model, stack, CPU, 0, bundled / "models", bundled / "models", bundled / "texts")
        ids = session.tokenizer("The capital of France is", return_tensors="pt").input_ids
        out = session.model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=24, min_new_tokens=24, pad_token_id=0, **session.call_options()
        )
        tokens[mode] = session.tokenizer.decode(out[0])
    assert tokens["off"] == tokens["dynamic"] == tokens["static"]
    assert "Paris" in tokens["off"]
