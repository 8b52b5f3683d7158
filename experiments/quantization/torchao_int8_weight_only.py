"""torchao int8 weight-only: one scale per output row, weights expanded to the compute type for every product."""

from __future__ import annotations

from typing import ClassVar, Literal

from engine.footprint import BYTES, Footprint, Packing
from engine.measurement import Evidence
from engine.technique import Session, Slot, Technique


class TorchaoInt8WeightOnly(Technique):
    """8-bit weights with one scale per output row; activations keep their precision (torchao)."""

    name: ClassVar[str] = "torchao_int8_weight_only"
    label: ClassVar[str] = "int8 weight-only (torchao)"
    family: ClassVar[str] = "quantization"
    slot: ClassVar[Slot] = Slot.WEIGHTS
    phase: ClassVar[Literal["any", "inference", "training"]] = "inference"
    reference: ClassVar[str] = "https://github.com/pytorch/ao/tree/main/torchao/quantization"
    costs: ClassVar[str] = "Without torch.compile the weights are expanded in memory for every product: slower than 16 bit."
    requires: ClassVar[tuple[str, ...]] = ("torchao",)

    def footprint(self, held: Footprint) -> Footprint:
        """A float32 scale and an 8-bit zero point a row; the output head too, beside the embedding where the two were one."""
        return held.evolve(packing=Packing(lambda outputs, inputs: outputs * (inputs + 5), head=True, expanded=BYTES[held.dtype]))

    def apply(self, session: Session) -> None:
        from torchao.quantization import Int8WeightOnlyConfig, quantize_

        quantize_(session.model, Int8WeightOnlyConfig(set_inductor_config=False))

    def evidence(self, session: Session) -> Evidence:
        import torch

        linear = [(n, m) for n, m in session.model.named_modules() if isinstance(m, torch.nn.Linear)]
        packed = [m for _, m in linear if hasattr(type(m.weight), "__tensor_flatten__")]
        plain = [n for n, m in linear if not hasattr(type(m.weight), "__tensor_flatten__")]
        dtypes = sorted({str(m.weight.qdata.dtype) for m in packed})
        facts = {"quantized_linear_layers": len(packed), "plain_linear_layers": len(plain), "weight_dtypes": dtypes}
        if not packed or dtypes != ["torch.int8"]:
            return Evidence(facts, "no linear layer has int8 weights")
        return Evidence(facts, f"{len(plain)} layers were left as they were, {plain[0]} first" if plain else None)
