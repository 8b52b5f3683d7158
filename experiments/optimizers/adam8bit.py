"""Adam with 8-bit state by bitsandbytes: blocks of 256 numbers share one scale."""

from __future__ import annotations

from typing import ClassVar

from experiments.optimizers.bnb import BitsandbytesOptimizer


class Adam8bit(BitsandbytesOptimizer):
    """Adam whose momentum and variance are kept in 8 bit, in blocks with a scale each."""

    name: ClassVar[str] = "adam8bit"
    label: ClassVar[str] = "8-bit Adam (bitsandbytes)"
    costs: ClassVar[str] = "Rounded state. Parameters of fewer than 4,096 elements keep 32-bit state. Needs a GPU."
    optimizer_class: ClassVar[str] = "Adam8bit"
