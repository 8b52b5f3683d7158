"""Gradient checkpointing by hand, to be read: a chain of layers that forgets what it computed, and computes it again when needed.

For its backward pass every layer needs something of its forward pass, mostly its input. A plain nn.Sequential of L layers
therefore keeps the activations of all L layers until the backward pass reaches them. A checkpointed segment of n layers keeps
its input alone; when the backward pass arrives there, it runs the segment forward once more and then has what the n layers need.
What is held at the worst moment is

    L / n   inputs, one for each segment, and
    n       layers' activations, of the one segment that is being recomputed,

which is least near n = sqrt(L) where a layer keeps as much as its input is large (https://arxiv.org/abs/1604.06174), and near
sqrt(L / a) where it keeps a times as much: n = 1 keeps every layer's input, n >= L recomputes the whole chain at once and holds
all of it again. The price is the same for every n: one more forward pass.

Two things make it exact. The segment is recomputed with the random numbers of the first time (preserve_rng_state), or dropout
would drop other elements than those that the loss came from. And use_reentrant=False recomputes with autograd's own hooks: the
older way runs a backward pass within the backward pass, and gives no gradients at all where no input of the first segment takes any.

The solution printed in the chapter runs, and saves next to nothing:

- It checkpoints single layers, every n-th, and runs those between as usual. A checkpointed layer keeps its input, and an
  nn.Linear needs nothing else for its backward pass: it is recomputed to save nothing. A checkpointed nn.ReLU keeps its
  input, which otherwise nobody would: it keeps its output, the input of the next layer. That costs memory.
- Its test builds `[nn.Linear(...), nn.ReLU()] * 20`: two objects twenty times, so a network of one layer's weights. And the
  same two objects are in both models, so the gradients of the second are added to those of the first.

Must stay a lesson: no offloading, no choice of what to keep.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor, nn


@functools.cache
def _checkpointed_sequential() -> type[nn.Sequential]:
    import torch
    from torch import nn
    from torch.utils.checkpoint import checkpoint

    class CheckpointedSequential(nn.Sequential):
        """nn.Sequential that keeps the input of every segment of `checkpoint_every` layers, and recomputes the rest.

        The last segment may be shorter; with more than there are layers, all are one segment. Raises ValueError below 1.
        """

        def __init__(self, *layers: nn.Module, checkpoint_every: int = 2) -> None:
            super().__init__(*layers)
            if checkpoint_every < 1:
                raise ValueError(f"checkpoint_every: a segment has at least one layer, {checkpoint_every} were asked for; use nn.Sequential for none")
            self.checkpoint_every = checkpoint_every

        def forward(self, x: Tensor) -> Tensor:
            if not torch.is_grad_enabled():  # there will be no backward pass to keep anything for
                return through(self, x)
            layers = list(self)
            for start in range(0, len(layers), self.checkpoint_every):
                segment = layers[start : start + self.checkpoint_every]
                x = checkpoint(functools.partial(through, segment), x, use_reentrant=False, preserve_rng_state=True)
            return x

    return CheckpointedSequential


def through(layers: Iterable[nn.Module], x: Tensor) -> Tensor:
    """One layer after another."""
    for layer in layers:
        x = layer(x)
    return x


def __getattr__(name: str) -> Any:
    """CheckpointedSequential is made when it is first imported: it is a torch class, and the catalogue must do without torch."""
    if name == "CheckpointedSequential":
        return _checkpointed_sequential()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
