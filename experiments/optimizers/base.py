"""What the optimizer techniques share: how they are chosen, and the proof read from a step of the real optimizer."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from engine.footprint import Footprint
from engine.measurement import Evidence
from engine.technique import Session, Slot, Technique


class Optimizer(Technique):
    family: ClassVar[str] = "optimizer"
    slot: ClassVar[Slot] = Slot.OPTIMIZER
    phase: ClassVar[Literal["any", "inference", "training"]] = "training"
    takes_shards: ClassVar[bool] = False
    """Whether it can update parameters of which each process holds a part."""

    def make(self, parameters: list[Any], learning_rate: float) -> Any:
        """The optimizer of these parameters."""
        raise NotImplementedError

    def state_bytes(self, shape: tuple[int, ...], itemsize: int) -> int:
        """By formula, the bytes that it will keep of one parameter with `itemsize` bytes an element."""
        raise NotImplementedError

    def update_bytes(self, total: int, largest: int) -> int:
        """By formula, what an update takes for as long as it lasts, of parameters of so many bytes: nothing where one kernel does all."""
        return 0

    def problem(self, optimizer: Any, state: dict[str, Any]) -> str | None:
        """What contradicts this technique in the optimizer, or in its state of one parameter; None if nothing does."""
        raise NotImplementedError

    def footprint(self, held: Footprint) -> Footprint:
        return held.evolve(state_bytes=self.state_bytes, update_bytes=self.update_bytes)

    def apply(self, session: Session) -> None:
        assert session.training is not None
        session.training.make_optimizer = self.make
        session.training.predicted_state_bytes = self.state_bytes

    def evidence(self, session: Session) -> Evidence:
        """The real optimizer after a step of zero gradients and learning rate 0 on the largest trainable parameter."""
        import torch

        from engine.memory import storage_bytes

        assert session.training is not None
        largest = max(session.training.trainable(), key=lambda p: p.numel())
        optimizer = session.training.make_optimizer([largest], 0.0)
        largest.grad = torch.zeros_like(largest)
        optimizer.step()
        largest.grad = None
        state = optimizer.state[largest]
        tensors = {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}
        facts = {
            "optimizer": f"{type(optimizer).__module__}.{type(optimizer).__name__}",
            "state_dtypes": {name: str(t.dtype).removeprefix("torch.") for name, t in tensors.items()},
            "state_bytes_per_element": round(storage_bytes(*tensors.values()) / largest.numel(), 4),
        }
        return Evidence(facts, self.problem(optimizer, state))
