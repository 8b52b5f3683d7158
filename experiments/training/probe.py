"""Looks into one small training pass of the real model, for evidence. Leaves no gradient and no state behind."""

from __future__ import annotations

from collections import Counter
from typing import Any

from engine.technique import Session


def _loss(session: Session) -> Any:
    """The loss of one short sequence in training mode, in the session's precision."""
    import torch

    assert session.training is not None
    ids = torch.arange(3, 11, device=session.torch_device).unsqueeze(0)
    with session.training.autocast():
        return session.training.forward(input_ids=ids, labels=ids, use_cache=False).loss.mean()


def linear_output_dtype(session: Session) -> str:
    """Name of the dtype that the model's first linear layer returns in a forward pass of a training step."""
    import torch

    from engine.loading import is_linear

    seen: list[str] = []
    layer = next(m for m in session.model.modules() if is_linear(m))
    handle = layer.register_forward_hook(lambda _module, _inputs, output: seen.append(str(output.dtype).removeprefix("torch.")))
    try:
        with torch.no_grad():
            _loss(session)
    finally:
        handle.remove()
    return seen[0]


def without_gradient(session: Session, parameters: list[Any]) -> int:
    """How many of these trainable parameters get no gradient, or one of zeros, in a step that follows a call in eval mode.

    That call is what measuring perplexity makes first; some kernels for inference stay in use after it.
    """
    import torch

    was_training = session.model.training
    try:
        session.model.eval()
        with torch.no_grad():
            _loss(session)
        session.model.train()
        loss = _loss(session)
        found = torch.autograd.grad(loss, parameters, allow_unused=True) if loss.requires_grad else [None] * len(parameters)
    finally:
        session.model.train(was_training)
    return sum(gradient is None or not bool(gradient.any()) for gradient in found)


def forward_runs(session: Session, blocks: list[Any]) -> list[int]:
    """How often each block runs forward in one forward and backward pass: twice where it is checkpointed.

    Counted at the first module inside each block: transformers recomputes a block's forward without the hooks of the block itself.
    """
    import torch

    assert session.training is not None
    runs: Counter[int] = Counter()
    handles = [
        next(block.children()).register_forward_hook(lambda _module, _inputs, _output, index=index: runs.update([index]))
        for index, block in enumerate(blocks)
    ]
    was_training = session.model.training
    try:
        session.model.train()
        # The first trainable parameter lies below all the others, so that the whole backward pass is made for its gradient.
        torch.autograd.grad(_loss(session), session.training.trainable()[:1])
    finally:
        session.model.train(was_training)
        for handle in handles:
            handle.remove()
    return [runs[index] for index in range(len(blocks))]
