"""How a loaded model is trained: the parts that techniques replace, and the step that the training workloads measure.

Owns one optimizer step over its micro-batches. Knows no data and records nothing. torch is imported in the child only.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.footprint import adamw_state_bytes

if TYPE_CHECKING:
    from engine.marks import Marks


def adamw(parameters: list[Any], learning_rate: float) -> Any:
    """What trains where no optimizer technique is chosen: torch's AdamW with its own defaults."""
    import torch

    return torch.optim.AdamW(parameters, lr=learning_rate)


@dataclass
class Training:
    """One rank's training of one model. Techniques set these fields in `apply`; `start` is called once, after all of them.

    forward: what is called with a batch; the model itself, or the wrapper that synchronizes the ranks.
    autocast: context of every forward pass. scaler: a GradScaler, or None.
    last_only: context of the backward passes before the last of a step, in which ranks need not exchange gradients.
    skipped_steps: optimizer steps that the scaler left out because gradients overflowed.
    predicted_state_bytes: bytes that the optimizer will keep of one parameter, from its shape and bytes per element.
    adapter: peft's model, where weights beside the frozen ones are trained.
    eager: whether operators run one by one, so that every tensor can be seen.
    region: context that names a part of the step; a profile sets torch's record_function, timed steps have none.
    """

    forward: Any
    learning_rate: float
    make_optimizer: Callable[[list[Any], float], Any] = adamw
    autocast: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext
    scaler: Any = None
    last_only: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext
    optimizer: Any = None
    skipped_steps: int = 0
    predicted_state_bytes: Callable[[tuple[int, ...], int], int] = adamw_state_bytes
    adapter: Any = None
    eager: bool = True
    region: Callable[[str], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext

    def trainable(self) -> list[Any]:
        """The parameters that take gradients."""
        return [p for p in self.forward.parameters() if p.requires_grad]

    def sharded(self) -> bool:
        """Whether each of several ranks holds a part of the parameters only."""
        return any(hasattr(p, "to_local") for p in self.forward.parameters())

    def start(self) -> None:
        """Make the optimizer, of the parameters as all techniques have left them. Raises ValueError if none is trainable."""
        if not self.trainable():
            raise ValueError("model: none of its parameters takes gradients; add an adapter or leave the quantization out")
        self.optimizer = self.make_optimizer(self.trainable(), self.learning_rate)

    def state_tensors(self) -> list[Any]:
        """All tensors that the optimizer keeps between steps: its real state, counted from no formula."""
        import torch

        kept = [value for state in self.optimizer.state.values() for value in state.values()]
        return [value for value in kept if isinstance(value, torch.Tensor)]

    def step(self, batches: Sequence[Any], marks: Marks | None = None) -> Any:
        """One optimizer step on micro-batches of token ids, each (batch, length) int64. Returns their mean loss in nats, a
        tensor () on the device: reading it would wait for the device.

        marks: gets a mark named forward or backward after each micro-batch's part, and optimizer at the end.
        """
        losses: list[Any] = []
        for index, ids in enumerate(batches):
            with self.last_only() if index + 1 < len(batches) else contextlib.nullcontext():
                with self.region("forward"), self.autocast():
                    loss = self.forward(input_ids=ids, labels=ids, use_cache=False).loss.mean() / len(batches)
                _mark(marks, "forward")
                with self.region("backward"):
                    (loss if self.scaler is None else self.scaler.scale(loss)).backward()
                _mark(marks, "backward")
            losses.append(loss.detach())
        with self.region("optimizer"):
            self._update()
        _mark(marks, "optimizer")
        return sum(losses)

    def _update(self) -> None:
        if self.scaler is None:
            self.optimizer.step()
        else:
            before = self.scaler.get_scale()
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.skipped_steps += self.scaler.get_scale() < before  # it lowers the scale exactly when it skipped
        self.optimizer.zero_grad(set_to_none=True)


def _mark(marks: Marks | None, name: str) -> None:
    if marks is not None:
        marks.mark(name)
