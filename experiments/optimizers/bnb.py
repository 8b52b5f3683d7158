"""What the 8-bit optimizers of bitsandbytes share: availability, and state that must really be 8 bit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from engine.technique import Technique
from experiments.optimizers.base import Optimizer

if TYPE_CHECKING:
    from engine.devices import Device
    from engine.modelspec import ModelSpec
    from engine.workload import Workload


class BitsandbytesOptimizer(Optimizer):
    reference: ClassVar[str] = "https://arxiv.org/abs/2110.02861"
    requires: ClassVar[tuple[str, ...]] = ("bitsandbytes",)
    optimizer_class: ClassVar[str]

    def unsupported_reason(
        self, device: Device, model: ModelSpec, workload: Workload, stack: Sequence[Technique]
    ) -> str | None:
        return None if device.kind == "cuda" else "bitsandbytes has 8-bit optimizer kernels for GPUs only; choose a CUDA device"

    def make(self, parameters: list[Any], learning_rate: float) -> Any:
        import bitsandbytes

        return getattr(bitsandbytes.optim, self.optimizer_class)(parameters, lr=learning_rate)

    def problem(self, optimizer: Any, state: dict[str, Any]) -> str | None:
        import torch

        if type(optimizer).__name__ != self.optimizer_class:
            return f"the optimizer is {type(optimizer).__name__}, not {self.optimizer_class}"
        kept = state["state1"].dtype
        return None if kept == torch.uint8 else f"the state of the largest parameter is {kept}, not 8 bit: it has too few elements"
