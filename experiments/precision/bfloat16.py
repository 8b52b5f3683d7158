"""bfloat16: 2 bytes a number with the exponent range of float32 and 7 fraction bits."""

from __future__ import annotations

from typing import ClassVar

from experiments.precision.base import Precision


class BFloat16(Precision):
    """Weights and arithmetic in bfloat16, float32 with a shorter fraction."""

    name: ClassVar[str] = "bfloat16"
    label: ClassVar[str] = "bfloat16"
    reference: ClassVar[str] = "https://docs.pytorch.org/docs/stable/tensor_attributes.html#torch-dtype"
    costs: ClassVar[str] = "Two to three decimal digits. CPUs without bf16 instructions emulate it."
