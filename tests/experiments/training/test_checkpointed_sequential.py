"""The lesson is exact: same outputs and gradients with dropout on, every layer covered once; and what the chapter's own solution saves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from experiments.training.checkpointed_sequential import CheckpointedSequential
from experiments.workloads.checkpointing_memory import kept_bytes

LAYERS, WIDTH, ROWS = 10, 16, 12


class ChapterSequential(nn.Sequential):
    """As printed there, and with use_reentrant=False, without which torch warns."""

    def __init__(self, *args: nn.Module, checkpoint_every: int = 2) -> None:
        super().__init__(*args)
        self.checkpoint_every = checkpoint_every

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        modules = list(self._modules.values())
        for i, module in enumerate(modules):
            assert module is not None
            checkpointed = i % self.checkpoint_every == 0 and self.training
            x = checkpoint(module, x, use_reentrant=False) if checkpointed else module(x)
        return x


def layers(count: int = LAYERS) -> list[nn.Module]:
    torch.manual_seed(3)
    # the norm keeps gradients from vanishing on their way: 1e-6 would mean nothing beside gradients of 1e-5
    return [nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Dropout(0.3)) for _ in range(count)]


def linear_relu(pairs: int, width: int) -> list[nn.Module]:
    """The chapter's layers, each an object of its own."""
    return [layer for _ in range(pairs) for layer in (nn.Linear(width, width), nn.ReLU())]


def outcome(chain: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    torch.manual_seed(11)  # of the dropout
    out = chain(x)
    gradients = torch.autograd.grad(out.square().sum(), list(chain.parameters()))
    return out.detach(), list(gradients)


@pytest.mark.parametrize("every", [1, 2, 3, 4, 7, LAYERS, LAYERS + 1, 1000])
def test_outputs_and_gradients_are_those_of_a_plain_sequential(every: int) -> None:
    x = torch.randn(ROWS, WIDTH, generator=torch.Generator().manual_seed(0))
    plain_out, plain = outcome(nn.Sequential(*layers()), x)
    out, gradients = outcome(CheckpointedSequential(*layers(), checkpoint_every=every), x)
    assert torch.allclose(out, plain_out, rtol=0, atol=1e-6)
    assert len(gradients) == len(plain) == 4 * LAYERS
    assert min(float(g.abs().max()) for g in plain) > 1e-2
    for a, b in zip(gradients, plain, strict=True):
        assert torch.allclose(a, b, rtol=0, atol=1e-6)


def test_without_the_random_numbers_of_the_first_time_the_gradients_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the test above would notice."""
    import torch.utils.checkpoint as library

    real = library.checkpoint
    monkeypatch.setattr(library, "checkpoint", lambda *args, **kwargs: real(*args, **kwargs | {"preserve_rng_state": False}))
    from experiments.training import checkpointed_sequential as lesson

    lesson._checkpointed_sequential.cache_clear()
    try:
        x = torch.randn(ROWS, WIDTH)
        forgetful = outcome(lesson.CheckpointedSequential(*layers(), checkpoint_every=2), x)[1]
        plain = outcome(nn.Sequential(*layers()), x)[1]
        assert any(not torch.allclose(a, b, rtol=0, atol=1e-3) for a, b in zip(forgetful, plain, strict=True))
    finally:
        lesson._checkpointed_sequential.cache_clear()


@pytest.mark.parametrize("every", [1, 3, 4, LAYERS, 1000])
def test_every_layer_runs_once_forward_and_once_again_for_the_backward_pass(every: int) -> None:
    runs: Counter[int] = Counter()
    chain = CheckpointedSequential(*[nn.Linear(WIDTH, WIDTH) for _ in range(LAYERS)], checkpoint_every=every)
    for index, layer in enumerate(chain):
        layer.register_forward_pre_hook(lambda module, inputs, index=index: runs.update([index]))
    out = chain(torch.randn(ROWS, WIDTH))
    assert runs == dict.fromkeys(range(LAYERS), 1)
    out.sum().backward()
    assert runs == dict.fromkeys(range(LAYERS), 2)


def test_it_is_a_sequential_with_the_same_names_and_weights() -> None:
    chain, plain = CheckpointedSequential(*layers(), checkpoint_every=4), nn.Sequential(*layers())
    assert isinstance(chain, nn.Sequential) and len(chain) == LAYERS
    assert chain.state_dict().keys() == plain.state_dict().keys()
    assert CheckpointedSequential()(torch.ones(2)).tolist() == [1, 1], "no layers"


def test_without_gradients_nothing_is_checkpointed() -> None:
    chain = CheckpointedSequential(*layers(), checkpoint_every=3).eval()
    x = torch.randn(ROWS, WIDTH)
    with torch.no_grad():
        assert torch.equal(chain(x), nn.Sequential(*chain)(x))


def test_a_segment_has_at_least_one_layer() -> None:
    with pytest.raises(ValueError, match="checkpoint_every: a segment has at least one layer, 0 were asked for"):
        CheckpointedSequential(nn.ReLU(), checkpoint_every=0)


def kept(make: Callable[..., nn.Module], pairs: int = 20, width: int = 64, rows: int = 256, **options: Any) -> float:
    """Activations that are kept for the backward pass, in units of one layer's output."""
    chain = make(*linear_relu(pairs, width), **options).train()
    return kept_bytes(chain, torch.randn(rows, width)) / (4 * rows * width)


def test_what_the_chapters_own_solution_saves() -> None:
    """Of 40 layers, Linear and ReLU in turn, a plain Sequential keeps the 20 outputs of the ReLUs: each is also the next Linear's input."""
    assert kept(nn.Sequential) == 20
    # every fourth layer is a Linear, which needs its input alone, and its input is what a checkpoint keeps
    assert kept(ChapterSequential, checkpoint_every=4) == 20, "it saves nothing at all"
    # every layer: each ReLU now keeps its input beside the output that the next Linear keeps
    assert kept(ChapterSequential, checkpoint_every=1) == 39, "it costs as much again"
    for every, segments in ((2, 20), (4, 10), (8, 5), (40, 1)):
        assert kept(CheckpointedSequential, checkpoint_every=every) == segments - 1, "the inputs of all segments but the first, which is the data"


def test_the_chapters_test_trains_one_layer_twenty_times() -> None:
    shared = [nn.Linear(8, 8), nn.ReLU()] * 20
    assert len(list(nn.Sequential(*shared).parameters())) == 2
    assert len(list(nn.Sequential(*linear_relu(20, 8)).parameters())) == 40
    normal, checkpointed = nn.Sequential(*shared), ChapterSequential(*shared, checkpoint_every=4)
    x = torch.randn(4, 8)
    normal(x).sum().backward()
    first = normal[0].weight.grad
    assert first is not None
    before = first.clone()
    checkpointed(x).sum().backward()
    assert torch.allclose(normal[0].weight.grad, 2 * before), "the second model's gradients went into the first"
