"""Automatic mixed precision in bfloat16: needs no loss scaling, because its exponents reach as far as float32's."""

from __future__ import annotations

from typing import ClassVar

from experiments.precision.amp import MixedPrecision


class AmpBfloat16(MixedPrecision):
    """Training with float32 weights and bfloat16 matrix products (autocast)."""

    name: ClassVar[str] = "amp_bfloat16"
    label: ClassVar[str] = "Mixed precision, bfloat16"
    costs: ClassVar[str] = "Weights, gradients and optimizer state stay float32: activations shrink, the rest does not."
    dtype: ClassVar[str] = "bfloat16"
