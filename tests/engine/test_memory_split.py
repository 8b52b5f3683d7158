"""What holds the memory of a training step, on a model whose sizes are known by arithmetic."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from engine.memory_split import SPLIT_METRICS, split_peak

WIDTH, LAYERS = 256, 8


def weights(layers: int = LAYERS) -> int:
    return layers * (WIDTH * WIDTH + WIDTH) * 4


WEIGHTS = weights()


class Stack(torch.nn.Module):
    """Layers that keep two activations each: the linear layer's input and that of its GELU."""

    def __init__(self, layers: int, *, checkpointed: bool = False) -> None:
        super().__init__()
        blocks = [torch.nn.Sequential(torch.nn.Linear(WIDTH, WIDTH), torch.nn.GELU()) for _ in range(layers)]
        self.blocks, self.checkpointed = torch.nn.ModuleList(blocks), checkpointed

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=False) if self.checkpointed else block(x)
        return x.mean()


def split(rows: int, *, micro_batches: int = 1, checkpointed: bool = False, fused: bool = True, layers: int = LAYERS) -> dict[str, int]:
    """Of the second step: the first one makes the optimizer's state."""
    torch.manual_seed(0)
    model = Stack(layers, checkpointed=checkpointed)
    optimizer = torch.optim.AdamW(model.parameters(), fused=fused, foreach=False)
    x = torch.randn(rows, WIDTH)

    def step(marks: Any = None) -> None:
        for _ in range(micro_batches):
            model(x).backward()
            if marks is not None:
                marks.mark("backward")
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    step()
    return split_peak(model, optimizer, "cpu", step)


def test_weights_gradients_and_state_are_as_arithmetic_says() -> None:
    """With a small batch and an update layer by layer, the peak is in the update: beside its state it holds two numbers of one layer."""
    layers = 128
    found = split(rows=4, fused=False, layers=layers)
    assert tuple(found) == SPLIT_METRICS
    assert found["peak_weight_bytes"] == weights(layers)
    assert found["peak_gradient_bytes"] == pytest.approx(weights(layers), rel=0.01)
    assert found["peak_optimizer_bytes"] == pytest.approx(2 * weights(layers), rel=0.01)
    assert found["peak_activation_bytes"] + found["peak_other_bytes"] < 0.01 * weights(layers)


def test_the_last_gradient_is_other_until_its_parameter_has_it() -> None:
    """A fused update needs no memory, so the peak is where the backward pass ends."""
    found = split(rows=4)
    assert found["peak_optimizer_bytes"] == pytest.approx(2 * WEIGHTS, rel=0.01)
    assert found["peak_gradient_bytes"] >= WEIGHTS * (LAYERS - 1) / LAYERS
    assert found["peak_gradient_bytes"] + found["peak_other_bytes"] == pytest.approx(WEIGHTS, rel=0.03)


def test_activations_grow_with_the_batch_and_checkpointing_lowers_them() -> None:
    rows = 2048
    one = rows * WIDTH * 4
    whole, checkpointed = split(rows), split(rows, checkpointed=True)
    assert whole["peak_activation_bytes"] == pytest.approx(2 * LAYERS * one, rel=0.15)
    assert checkpointed["peak_activation_bytes"] == pytest.approx((LAYERS + 2) * one, rel=0.25), "one input each, and a block recomputed"
    for name in ("peak_weight_bytes", "peak_optimizer_bytes"):
        assert whole[name] == checkpointed[name]


def test_gradients_wait_for_the_second_micro_batch() -> None:
    """At the first one's peak none is there yet; at the second's all of the first's are."""
    rows = 2048
    one, two = split(rows), split(rows, micro_batches=2)
    assert one["peak_gradient_bytes"] < 0.3 * WEIGHTS
    assert two["peak_gradient_bytes"] == pytest.approx(WEIGHTS, rel=0.3)
    assert two["peak_activation_bytes"] == pytest.approx(one["peak_activation_bytes"], rel=0.05)
