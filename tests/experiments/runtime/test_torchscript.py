"""TorchScript: the same greedy tokens, no second copy of the weights, stacks that are refused, and a model that cannot be traced."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.devices import find_device
from engine.loading import load_session
from engine.measurement import Status
from engine.memory import storage_bytes
from engine.modelspec import ModelSpec
from engine.presets import parse_spec
from engine.registry import discover
from engine.run_spec import run_spec
from engine.specs import PlannedRun, RunKind
from engine.technique import Session, Technique, unsupported_stack
from tests.engine.changed_worker import ChangedExecutor
from tests.tiny_model import make

CPU = find_device("cpu")
MODEL = ModelSpec(source="local", name="tiny")
IDS = torch.tensor([[2, 40, 41, 42, 50, 60, 61, 7, 9, 11], [3, 40, 44, 42, 51, 60, 62, 7, 9, 12]])


def load(root: Path, *stack: Technique) -> Session:
    return load_session(MODEL, stack, CPU, 0, root, root, root)


def greedy(session: Session, ids: torch.Tensor) -> Any:
    return session.model.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=24, min_new_tokens=24, pad_token_id=0,
        **session.generate_options,
    ).tolist()  # fmt: skip


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_the_same_tokens_at_every_batch_size(family: str, tmp_path: Path) -> None:
    make(tmp_path / "tiny", family)
    traced, plain = load(tmp_path, discover().technique("torchscript")), load(tmp_path)
    for ids in (IDS, IDS[:1], IDS[:1, :1]):
        assert greedy(traced, ids) == greedy(plain, ids)
    assert set(traced.model.forward.traces) == {(1, 0), (1, 1), (2, 1)}, "one trace per batch size, all logits or the last"
    assert len(traced.model.forward.seconds) == 3 and min(traced.model.forward.seconds.values()) > 0
    assert traced.compile_seconds is not None and traced.compile_seconds() == pytest.approx(sum(traced.model.forward.seconds.values()))
    assert plain.compile_seconds is None


def test_frozen_weights_are_the_models_own(tiny_model_root: Path) -> None:
    traced, plain = load(tiny_model_root, discover().technique("torchscript")), load(tiny_model_root)
    weights = {p.data_ptr() for p in traced.model.parameters()}
    assert weights & {t.data_ptr() for t in traced.model.frozen_tensors}
    assert storage_bytes(plain.model) <= storage_bytes(traced.model) < 1.02 * storage_bytes(plain.model)


@pytest.mark.parametrize(
    ("other", "options", "reason"),
    [
        ("kv_cache", {"mode": "dynamic"}, "set kv_cache to mode off"),
        ("kv_cache", {"mode": "static"}, "set kv_cache to mode off"),
        ("bnb_4bit", {}, "packed weights of bnb_4bit"),
        ("torchao_int8_weight_only", {}, "packed weights of torchao"),
        ("kv_cache", {"mode": "off"}, None),
        ("bfloat16", {}, None),
    ],
)
def test_stacks(other: str, options: dict[str, Any], reason: str | None) -> None:
    stack = [discover().technique(other, options), discover().technique("torchscript")]
    said = unsupported_stack(stack, CPU, MODEL, discover().workload("generation"))
    assert said is None if reason is None else reason in (said or "")


def test_a_model_that_cannot_be_traced_is_unsupported_with_the_tracers_reason(
    tiny_model_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real child, with a model whose forward gives text: the tracer takes tensors only."""
    monkeypatch.setenv("LAB_MODELS", str(tiny_model_root))
    spec = parse_spec({"title": "t", "model": "local:tiny", "variants": ["torchscript"], "workload": {"options": {"quality_tokens": 0}}})
    untraceable = (
        "import transformers.models.llama.modeling_llama as m;"
        "real = m.LlamaForCausalLM.forward;"
        "m.LlamaForCausalLM.forward = lambda self, *a, **k: type('Text', (), {'logits': str(real(self, *a, **k))})()"
    )
    executor = ChangedExecutor(untraceable)
    handle = executor.start(run_spec(spec, PlannedRun(1, 0, RunKind.SPEED), CPU), tmp_path / "run", device=CPU)
    while (result := executor.poll(handle)) is None:
        time.sleep(0.05)
    assert result.status is Status.UNSUPPORTED
    assert (result.reason or "").startswith("torchscript: the model cannot be traced: RuntimeError: Only tensors")


def test_out_of_memory_while_tracing_is_not_called_untraceable(tiny_model_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.jit, "trace", full)
    with pytest.raises(torch.OutOfMemoryError):
        load(tiny_model_root, discover().technique("torchscript"))
