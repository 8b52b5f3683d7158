"""What the 8-bit optimizers of bitsandbytes share: availability, and state that must really be 8 bit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from engine.technique import Technique
from experiments.optimizers.base import Optimizer

if TYPE_CHECKING:
    from engine.devices import Device
    from engine.modelspec import ModelSpec
    from engine.workload import Workload


_FEWEST, _BLOCK = 4096, 256
"""bitsandbytes' own: what is smaller stays in 32 bit, and how many 8-bit numbers share a scale."""


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

    def state_bytes(self, shape: tuple[int, ...], itemsize: int) -> int:
        """Two numbers for each of the parameter's: of 8 bit with a float32 scale for 256 of them, of 32 bit where it is small."""
        elements = math.prod(shape)
        return 8 * elements if elements < _FEWEST else 2 * elements + self.scale_bytes(shape, itemsize)

    def scale_bytes(self, shape: tuple[int, ...], itemsize: int) -> int:
        """Of these, the scales."""
        elements = math.prod(shape)
        return 0 if elements < _FEWEST else 2 * 4 * math.ceil(elements / _BLOCK)

    def problem(self, optimizer: Any, state: dict[str, Any]) -> str | None:
        import torch

        if type(optimizer).__name__ != self.optimizer_class:
            return f"the optimizer is {type(optimizer).__name__}, not {self.optimizer_class}"
        kept = state["state1"].dtype
        return None if kept == torch.uint8 else f"the state of the largest parameter is {kept}, not 8 bit: it has too few elements"
