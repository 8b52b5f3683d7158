"""The KV cache: what cannot keep one says so; exact ones give the same tokens; the loss of one that is not exact is seen."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.devices import find_device
from engine.environments import LayeredEnvironment
from engine.loading import load_session
from engine.modelspec import ModelSpec
from engine.registry import discover
from engine.settings import REPOSITORY
from engine.technique import CacheSource, Session, Technique, unsupported_stack
from tests.experiments.inference.caches import assert_equals_token_by_token, generated

CPU = find_device("cpu")
MODEL = ModelSpec(source="local", name="tiny")
CHECKS = "tests/experiments/inference/quantized_checks.py"
# transformers imports hqq, hqq asks for torch's compiler, and that for what torch deprecates: before any test could filter it
IMPORTED = "ignore:`torch.jit.script_method` is:DeprecationWarning"


def kv_cache(**options: Any) -> Technique:
    return discover().technique("kv_cache", options)


def load(root: Path, *stack: Technique) -> Session:
    return load_session(MODEL, stack, CPU, 0, root, root, root)


def test_the_quantized_one_passes_its_checks_where_it_is_installed(hqq_environment: LayeredEnvironment) -> None:
    command = [str(hqq_environment.python), "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "-W", IMPORTED, CHECKS]
    child = subprocess.run(command, check=False, cwd=REPOSITORY, capture_output=True, text=True, env=os.environ)
    assert child.returncode == 0, child.stdout[-6000:] + child.stderr[-2000:]


def test_workloads_that_generate_nothing_refuse_it() -> None:
    for name, workload in discover().workloads.items():
        reason = unsupported_stack([kv_cache()], CPU, MODEL, workload())
        if workload.generates:
            assert reason is None, name
        elif workload.trains:
            assert reason == f"kv_cache: it has no effect on the workload {name}, it is for inference; take it out of the stack"
        else:
            assert reason, "it generates no tokens, or there is no model"
    said = unsupported_stack([kv_cache()], CPU, MODEL, discover().workload("multiple_choice"))  # it reads each question in one pass
    assert said == "kv_cache: the workload multiple_choice generates no tokens, so there is nothing to keep; take it out of the stack"


def test_quality_goes_through_a_lossy_cache_whatever_makes_it(tiny_model_root: Path) -> None:
    """transformers' own float8 cache needs no package; it packs every token at once."""
    from transformers import QuantizedCache

    session = load(tiny_model_root)
    session.cache = CacheSource(lambda *_: QuantizedCache("fp8", session.model.config), (16,))
    assert_equals_token_by_token(session, torch.arange(2, 98).unsqueeze(0))
    a, cache = generated(session, 8, 16)
    assert type(cache).__name__ == "QuantizedCache" and cache.get_seq_length() == 8 + 15
    assert generated(session, 8, 16)[0] == a, "each call has a cache of its own"


def test_a_static_cache_stays_where_it_is_from_one_generation_to_the_next(tiny_model_root: Path) -> None:
    """What torch.compile records for fixed addresses can be used again."""
    session, plain = load(tiny_model_root, kv_cache(mode="static")), load(tiny_model_root)
    first, cache = generated(session, 8, 16)
    places = [(layer.keys.data_ptr(), layer.values.data_ptr()) for layer in cache.layers]
    again, same = generated(session, 8, 16)
    assert same is cache and places == [(layer.keys.data_ptr(), layer.values.data_ptr()) for layer in same.layers]
    assert first == again == generated(plain, 8, 16)[0], "it is empty again"
    longer, other = generated(session, 8, 32)
    assert other is not cache and longer == generated(plain, 8, 32)[0]
    assert {layer.keys.shape[2] for layer in other.layers} == {8 + 32}, "room for exactly what is asked for"


@pytest.mark.slow
def test_exact_caches_give_the_real_model_the_same_tokens(bundled: Path) -> None:
    tokens = {}
    for mode in ("off", "dynamic", "static"):
        stack = [discover().technique("float32"), kv_cache(mode=mode)]
        model = ModelSpec(source="bundled", name="smollm2-135m")
        session = load_session(model, stack, CPU, 0, bundled / "models", bundled / "models", bundled / "texts")
        ids = session.tokenizer("The capital of France is", return_tensors="pt").input_ids
        out = session.model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=24, min_new_tokens=24, pad_token_id=0,
            **session.call_options(1, ids.shape[1] + 24),
        )
        tokens[mode] = session.tokenizer.decode(out[0])
    assert tokens["off"] == tokens["dynamic"] == tokens["static"]
    assert "Paris" in tokens["off"]
