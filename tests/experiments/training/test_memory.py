"""Predicted beside counted: weights, gradients and optimizer state of every stack that trains here, to one percent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.loading import load_session
from engine.memory import logical_elements, storage_bytes
from engine.memory_prediction import predict
from engine.memory_split import split_peak
from engine.registry import discover
from engine.technique import Session, Technique
from tests.experiments.training.test_techniques import CPU, IDS, MODEL, WORKLOAD, build, load

STACKS: list[list[Technique]] = [
    [], [build("bfloat16")], [build("amp_bfloat16")], [build("adamw", fused=False)], [build("adafactor")],
    [build("bfloat16"), build("adafactor")], [build("lora")], [build("bnb_int8"), build("lora")],
    [build("bnb_4bit"), build("lora")], [build("bnb_4bit", double_quant=False), build("lora")],
    [build("gradient_checkpointing"), build("lora"), build("adafactor")],
]  # fmt: skip


def trained(root: Path, *stack: Technique) -> tuple[Session, int]:
    """(the session after a step, bytes of all its gradients in that step)."""
    session = load(root, *stack)
    assert session.training is not None
    session.training.start()
    session.model.train()
    seen: list[int] = []
    step = session.training.optimizer.step
    session.training.optimizer.step = lambda: (seen.append(storage_bytes(*(p.grad for p in session.training.trainable()))), step())  # type: ignore[union-attr]
    session.training.step([IDS])
    session.training.optimizer.step = step
    return session, seen[0]


@pytest.mark.parametrize("stack", STACKS, ids=lambda s: "+".join(t.name for t in s) or "plain")
def test_the_formulas_are_right(stack: list[Technique], tiny_model_root: Path) -> None:
    session, gradients = trained(tiny_model_root, *stack)
    assert session.training is not None
    predicted = predict(session.model, session.training)
    assert predicted["peak_weight_bytes"] == pytest.approx(storage_bytes(session.model), rel=0.01)
    assert predicted["peak_gradient_bytes"] == pytest.approx(gradients, rel=0.01)
    assert predicted["peak_optimizer_bytes"] == pytest.approx(storage_bytes(*session.training.state_tensors()), rel=0.01)


@pytest.mark.parametrize("stack", STACKS, ids=lambda s: "+".join(t.name for t in s) or "plain")
def test_the_split_sees_all_weights_and_all_state(stack: list[Technique], tiny_model_root: Path) -> None:
    """Frozen ones too, and the scales that bitsandbytes keeps outside of its parameters."""
    session, gradients = trained(tiny_model_root, *stack)
    training = session.training
    assert training is not None
    found = split_peak(session.model, training.optimizer, "cpu", lambda marks: training.step([IDS, IDS], marks))
    assert found["peak_weight_bytes"] == pytest.approx(storage_bytes(session.model), rel=0.01)
    assert storage_bytes(*training.state_tensors()) <= found["peak_optimizer_bytes"]
    assert 0 < found["peak_gradient_bytes"] <= gradients * 1.5
    assert all(p.grad is None for p in session.model.parameters())


def test_what_is_packed_in_an_unknown_way_is_not_predicted() -> None:
    model = torch.nn.Linear(64, 64, bias=False)
    training = WORKLOAD.training(model)
    packed = type("Packed", (torch.nn.Parameter,), {"__tensor_flatten__": lambda self: ([], None)})
    beside = torch.nn.Module()
    beside.weight = packed(torch.zeros(4))
    assert predict(model, training)["peak_weight_bytes"] == 64 * 64 * 4
    assert "peak_weight_bytes" not in predict(beside, training)


@pytest.mark.parametrize(("shape", "adam", "eight_bit", "adafactor"), [
    ((4096, 4096), 8 * 4096**2 + 4, 2 * 4096**2 * (1 + 4 / 256), 4 * (4096 + 4096) + 4),
    ((4095,), 8 * 4095 + 4, 8 * 4095, 4 * 4095 + 4),
    ((4097,), 8 * 4097 + 4, 2 * (4097 + 4 * 17), 4 * 4097 + 4),
])  # fmt: skip
def test_state_of_one_parameter(shape: tuple[int, ...], adam: float, eight_bit: float, adafactor: float) -> None:
    """8-bit Adam keeps 0.254 of AdamW's state, and nothing less where a parameter is small."""
    found: list[Any] = [build(name) for name in ("adamw", "adam8bit", "adafactor")]
    assert [t.state_bytes(shape, 4) for t in found] == [adam, eight_bit, adafactor]
    assert build("adamw").state_bytes(shape, 2) < 0.51 * adam  # type: ignore[attr-defined]


def test_packed_weights_count_as_what_they_stand_for(tiny_model_root: Path) -> None:
    plain = logical_elements(load(tiny_model_root).model.parameters())
    session = load_session(MODEL, [build("bnb_4bit"), build("lora")], CPU, 0, tiny_model_root, tiny_model_root, tiny_model_root, WORKLOAD)
    assert session.training is not None
    adapter = logical_elements(session.training.trainable())
    assert logical_elements(session.model.parameters()) == plain + adapter
    assert sum(p.numel() for p in session.model.parameters()) < plain, "the way that the chapter prints it counts bytes"


def test_every_optimizer_states_its_bytes() -> None:
    for cls in discover().techniques.values():
        if cls.family == "optimizer":
            assert cls().state_bytes((8192, 8), 4) > 0  # type: ignore[attr-defined]
