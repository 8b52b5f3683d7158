"""torchao int8 x int8: weights by output row, activations by token on the fly, integer products."""

from __future__ import annotations

from typing import ClassVar, Literal

from engine.footprint import BYTES, Footprint, Packing
from engine.measurement import Evidence
from engine.technique import Session, Slot, Technique
from experiments.quantization.packed import body
from experiments.quantization.torchao_layers import tensor_evidence


class TorchaoInt8DynamicActivationInt8Weight(Technique):
    """8-bit weights and 8-bit activations, quantized per token on the fly, so that products are of integers (torchao)."""

    name: ClassVar[str] = "torchao_int8_dynamic_activation_int8_weight"
    label: ClassVar[str] = "int8 weights and activations (torchao)"
    family: ClassVar[str] = "quantization"
    slot: ClassVar[Slot] = Slot.WEIGHTS
    phase: ClassVar[Literal["any", "inference", "training"]] = "inference"
    reference: ClassVar[str] = "https://github.com/pytorch/ao/tree/main/torchao/quantization"
    costs: ClassVar[str] = "Quantizing activations costs time at every layer: without torch.compile it is slower than 16 bit."
    requires: ClassVar[tuple[str, ...]] = ("torchao",)

    def footprint(self, held: Footprint) -> Footprint:
        """A scale a row, in the model's type; products are int32 first."""
        itemsize = BYTES[held.dtype]
        return held.evolve(packing=Packing(lambda outputs, inputs: outputs * (inputs + itemsize), product_bytes=4))

    def apply(self, session: Session) -> None:
        from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

        quantize_(session.model, Int8DynamicActivationInt8WeightConfig(set_inductor_config=False), filter_fn=body)

    def evidence(self, session: Session) -> Evidence:
        import torch

        return tensor_evidence(session, "Int8Tensor", torch.int8, activations=True)
