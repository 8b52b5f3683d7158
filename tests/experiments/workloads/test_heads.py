"""Every technique on a classifier and an encoder: applies, proves it, keeps the function close; or says why it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.devices import find_device
from engine.environments import CORE
from engine.loading import collect_evidence, load_session
from engine.modelspec import Head, ModelSpec
from engine.registry import discover
from engine.technique import Session, Technique, unsupported_stack

CPU = find_device("cpu")
MODEL = ModelSpec(source="local", name="tiny-bert")
WORKLOADS = {Head.CLASSIFIER: "classification", Head.ENCODER: "encoder_forward"}
PAIRS = [
    pytest.param(cls(), head, id=f"{name}-{head}") for name, cls in discover().techniques.items() for head in WORKLOADS
    if cls.environment == CORE and name != "torch_compile"  # they have their own tests; compiling takes half a minute
    and unsupported_stack([cls()], CPU, MODEL, discover().workload(WORKLOADS[head])) is None
]  # fmt: skip


def load(root: Path, head: Head, *stack: Technique) -> Session:
    return load_session(MODEL, stack, CPU, 0, root, root, root, discover().workload(WORKLOADS[head]))


def outputs(session: Session, head: Head) -> torch.Tensor:
    ids = torch.tensor([[2, 40, 41, 42, 50, 60, 61, 7]])
    with torch.inference_mode():
        out = session.model(input_ids=ids, attention_mask=torch.ones_like(ids))
    return (out.logits if head is Head.CLASSIFIER else out.last_hidden_state).float()


@pytest.mark.parametrize(("technique", "head"), PAIRS)
def test_applies_and_proves_it(technique: Technique, head: Head, tiny_models: Path) -> None:
    session = load(tiny_models, head, technique)
    assert collect_evidence(session, [technique])[technique.name]["problem"] is None
    out, reference = outputs(session, head), outputs(load(tiny_models, head), head)
    assert out.shape == reference.shape
    # The random weights are large, so 4 bits move single numbers a lot; the direction of the whole output stays.
    assert torch.nn.functional.cosine_similarity(out.flatten(), reference.flatten(), dim=0) > 0.8


def test_a_trace_is_refused_where_batches_are_padded() -> None:
    for head in WORKLOADS.values():
        reason = unsupported_stack([discover().technique("torchscript")], CPU, MODEL, discover().workload(head))
        assert reason is not None and "without padding" in reason


def test_only_a_technique_that_needs_generation_is_left_out() -> None:
    assert {p.values[0].name for p in PAIRS} >= {"float32", "float16", "bfloat16", "torch_dynamic_int8"}
    for head in WORKLOADS.values():
        reason = unsupported_stack([discover().technique("kv_cache")], CPU, MODEL, discover().workload(head))
        assert reason is not None and "generates no tokens" in reason
