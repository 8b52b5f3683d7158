"""AWQ: checkpoints whose weights were scaled before rounding, so that those that meet large activations lose least."""

from __future__ import annotations

from typing import ClassVar

from experiments.quantization.prequantized import Prequantized


class Awq(Prequantized):
    """A checkpoint that was quantized with AWQ before, loaded with its 4-bit weights packed (GPTQModel)."""

    name: ClassVar[str] = "awq"
    label: ClassVar[str] = "AWQ checkpoint"
    reference: ClassVar[str] = "https://arxiv.org/abs/2306.00978"
    costs: ClassVar[str] = (
        "Quantizing takes calibration data and minutes to hours, and was done elsewhere; what it cost in quality shows only against "
        "the model that the checkpoint was made from, which is another model here. Fast kernels are compiled at the first use, on GPUs only."
    )
