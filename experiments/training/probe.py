"""Looks into one small training pass of the real model, for evidence. Leaves no gradient and no state behind."""

from __future__ import annotations

from collections import Counter
from typing import Any

from engine.technique import Session


def _loss(session: Session, first: int = 3, sequences: int = 1, forward: Any = None) -> Any:
    """The loss of short sequences as training computes it, in the session's precision. first: their first token id. forward: what
    is called in place of training's own."""
    import torch

    assert session.training is not None
    ids = torch.arange(first, first + 8, device=session.torch_device).expand(sequences, 8)
    with session.training.autocast():
        return (forward or session.training.forward)(input_ids=ids, labels=ids, use_cache=False).loss.mean()


def linear_output_dtype(session: Session) -> str:
    """Name of the dtype that the model's first linear layer returns in a forward pass of a training step."""
    return forward_places(session, 1)[0][1]


def forward_places(session: Session, sequences: int, forward: Any = None) -> list[tuple[str, str]]:
    """(device, dtype) of what the model's first linear layer returns in a forward pass of so many sequences, each pair once.
    forward: what is called in place of training's own."""
    outputs = _linear_outputs(session, sequences, forward)
    return sorted({(str(output.device), str(output.dtype).removeprefix("torch.")) for output in outputs})


def _linear_outputs(session: Session, sequences: int, forward: Any) -> list[Any]:
    import torch

    from engine.loading import is_linear

    seen: list[Any] = []
    layer = next(m for m in session.model.modules() if is_linear(m))
    handle = layer.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    try:
        with torch.no_grad():
            _loss(session, sequences=sequences, forward=forward)
    finally:
        handle.remove()
    return seen


def gradient_sums(session: Session, first: int) -> Any:
    """(trainable tensors,) float64 on the CPU: the sum of the gradient of each, or of the part of it that this process holds, in
    a backward pass on a sequence that begins with this token id. A sum of gradients is linear in them, so means show in it."""
    import torch

    torch.manual_seed(session.seed)  # where there is dropout, it is the same in every pass
    sums = [0.0 if g is None else float(g.sum(dtype=torch.float64)) for g in _gradients(session, _loss(session, first)).values()]
    return torch.tensor(sums, dtype=torch.float64)


def _gradients(session: Session, loss: Any) -> dict[Any, Any]:
    """Trainable parameter -> its gradient, or the part that this process holds; None where it gets none. None is left behind.

    Not by torch.autograd.grad: what synchronizes ranks acts on whole backward passes only.
    """
    assert session.training is not None
    if loss.requires_grad:
        loss.backward()
    found = {}
    for parameter in session.training.trainable():
        found[parameter] = parameter.grad.to_local() if hasattr(parameter.grad, "to_local") else parameter.grad
        parameter.grad = None
    return found


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
        found = _gradients(session, _loss(session))
    finally:
        session.model.train(was_training)
    return sum(found[p] is None or not bool(found[p].any()) for p in parameters)


def forward_runs(session: Session, blocks: list[Any]) -> list[int]:
    """How often each block runs forward in one forward and backward pass: twice where it is checkpointed.

    Counted at the first module inside each block: transformers recomputes a block's forward without the hooks of the block itself.
    """
    runs: Counter[int] = Counter()
    handles = [
        next(block.children()).register_forward_hook(lambda _module, _inputs, _output, index=index: runs.update([index]))
        for index, block in enumerate(blocks)
    ]
    was_training = session.model.training
    try:
        session.model.train()
        _gradients(session, _loss(session))
    finally:
        session.model.train(was_training)
        for handle in handles:
            handle.remove()
    return [runs[index] for index in range(len(blocks))]
