"""float32: 4 bytes a number, the reference precision of the chapter's comparisons."""

from __future__ import annotations

from typing import ClassVar

from experiments.precision.base import Precision


class Float32(Precision):
    """Weights and arithmetic in 32-bit floating point."""

    name: ClassVar[str] = "float32"
    label: ClassVar[str] = "float32"
    reference: ClassVar[str] = "https://docs.pytorch.org/docs/stable/tensor_attributes.html#torch-dtype"
    costs: ClassVar[str] = "4 bytes a parameter: twice the memory and traffic of the 16-bit formats."
