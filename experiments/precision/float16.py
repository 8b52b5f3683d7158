"""float16: 2 bytes a number, 5 exponent bits and 10 fraction bits."""

from __future__ import annotations

from typing import ClassVar

from experiments.precision.base import Precision


class Float16(Precision):
    """Weights and arithmetic in IEEE half precision."""

    name: ClassVar[str] = "float16"
    label: ClassVar[str] = "float16"
    reference: ClassVar[str] = "https://docs.pytorch.org/docs/stable/tensor_attributes.html#torch-dtype"
    costs: ClassVar[str] = "Overflows beyond 65,504. Many CPUs have no fast float16 arithmetic."
