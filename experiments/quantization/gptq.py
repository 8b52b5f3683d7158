"""GPTQ: checkpoints whose weights were rounded one column after the other, each error made good by the columns to come."""

from __future__ import annotations

from typing import ClassVar

from experiments.quantization.prequantized import Prequantized


class Gptq(Prequantized):
    """A checkpoint that was quantized with GPTQ before, loaded with its weights packed (GPTQModel)."""

    name: ClassVar[str] = "gptq"
    label: ClassVar[str] = "GPTQ checkpoint"
    reference: ClassVar[str] = "https://arxiv.org/abs/2210.17323"
    costs: ClassVar[str] = (
        "Quantizing takes calibration data and minutes to hours, and was done elsewhere; what it cost in quality shows only against "
        "the model that the checkpoint was made from, which is another model here. Fast kernels are compiled at the first use, on GPUs only."
    )
    requires: ClassVar[tuple[str, ...]] = ("gptqmodel", "optimum")
