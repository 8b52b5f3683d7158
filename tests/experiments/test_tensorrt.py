"""TensorRT where it cannot run: every reason is said, and a model that no engine runs is found out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.devices import Device, find_device
from engine.environments import LayeredEnvironment
from engine.loading import NotAppliedError, collect_evidence, load_session
from engine.modelspec import ModelSpec
from engine.registry import discover
from engine.technique import ModelPlan, unsupported_stack

H100 = Device("cuda:0", "cuda", "a GPU", "here", 2**37, (9, 0), "GPU-0")
OLD = Device("cuda:0", "cuda", "a GPU", "here", 2**34, (7, 0), "GPU-0")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LayeredEnvironment, "missing", lambda self, packages: None)
    monkeypatch.setattr(LayeredEnvironment, "has", lambda self, package: False)


def reason(device: Device, options: dict[str, Any], beside: str | None = None) -> str | None:
    stack = [discover().technique("tensorrt", options), *([discover().technique(beside)] if beside else [])]
    return unsupported_stack(stack, device, ModelSpec(source="shape", name="gpt2"), discover().workload("generation"))


def test_what_it_cannot_do_has_a_reason(installed: None) -> None:
    assert reason(H100, {}) is None
    assert "needs an NVIDIA GPU" in str(reason(find_device("cpu"), {})) and "7.5 or newer" in str(reason(OLD, {}))
    assert "take bnb_4bit out of the stack" in str(reason(H100, {}, beside="bnb_4bit"))
    assert "int8 needs modelopt: python -m pip install" in str(reason(H100, {"precision": "int8"}))


@pytest.mark.parametrize(("precision", "dtype"), [("float16", "float16"), ("bfloat16", "bfloat16"), ("int8", "float16")])
def test_the_precision_is_the_weights(precision: str, dtype: str) -> None:
    assert discover().technique("tensorrt", {"precision": precision}).prepare(ModelPlan(dtype="float32")).dtype == dtype


def test_a_model_without_engines_is_found_out(tiny_model_root: Path) -> None:
    session = load_session(ModelSpec(source="local", name="tiny"), [], find_device("cpu"), 0, *[tiny_model_root] * 3)
    with pytest.raises(NotAppliedError, match="a call ran no TensorRT engine"):
        collect_evidence(session, [discover().technique("tensorrt")])


def test_the_card_tells_it_from_tensorrt_rtx() -> None:
    assert "TensorRT-RTX" in discover().techniques["tensorrt"].costs and "9.0" in discover().techniques["tensorrt"].costs
