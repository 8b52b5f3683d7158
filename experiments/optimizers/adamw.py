"""AdamW by torch: two float32 numbers of state for every float32 parameter."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from engine.footprint import adamw_state_bytes, whole_update
from experiments.optimizers.base import Optimizer


class AdamW(Optimizer):
    """AdamW: momentum and variance of every parameter, with decoupled weight decay."""

    name: ClassVar[str] = "adamw"
    label: ClassVar[str] = "AdamW"
    reference: ClassVar[str] = "https://arxiv.org/abs/1711.05101"
    costs: ClassVar[str] = "Twice the parameters' own memory for its state: 8 bytes a float32 parameter."
    takes_shards: ClassVar[bool] = True

    fused: bool = Field(True, description="One kernel for the whole update, in place of one for every operation")
    weight_decay: float = Field(0.01, ge=0, le=1, description="Decoupled weight decay")

    def make(self, parameters: list[Any], learning_rate: float) -> Any:
        import torch

        return torch.optim.AdamW(parameters, lr=learning_rate, fused=self.fused, weight_decay=self.weight_decay)

    def state_bytes(self, shape: tuple[int, ...], itemsize: int) -> int:
        return adamw_state_bytes(shape, itemsize)

    def update_bytes(self, total: int, largest: int) -> int:
        return 0 if self.fused else whole_update(total, largest)

    def problem(self, optimizer: Any, state: dict[str, Any]) -> str | None:
        found = (type(optimizer).__name__, bool(optimizer.defaults.get("fused")))
        return None if found == ("AdamW", self.fused) else f"the optimizer is {found[0]}, fused: {found[1]}"
