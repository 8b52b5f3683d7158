"""AdamW with 8-bit state in memory that the driver moves to the host when the GPU is full, by bitsandbytes."""

from __future__ import annotations

from typing import ClassVar

from engine.footprint import Footprint
from experiments.optimizers.bnb import BitsandbytesOptimizer


class PagedAdamw8bit(BitsandbytesOptimizer):
    """8-bit AdamW whose state may leave the GPU (unified memory), as QLoRA used it."""

    name: ClassVar[str] = "paged_adamw8bit"
    label: ClassVar[str] = "Paged 8-bit AdamW (bitsandbytes)"
    costs: ClassVar[str] = "As 8-bit Adam; where the GPU is full, each step waits for the state to come back over the bus."
    optimizer_class: ClassVar[str] = "PagedAdamW8bit"

    def footprint(self, held: Footprint) -> Footprint:
        """The numbers are in unified memory, past PyTorch's allocator; their scales are not."""
        return super().footprint(held).evolve(state_bytes=self.scale_bytes)
