"""4-bit weights by bitsandbytes, as in QLoRA: NF4 or FP4 in blocks of 64, constants optionally quantized again."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from engine.footprint import BYTES, Footprint, Packing, four_bit_bytes
from engine.measurement import Evidence
from engine.technique import ModelPlan, Session, Slot, Technique
from experiments.quantization.packed import layer_evidence


class Bnb4bit(Technique):
    """4-bit weights (NF4 or FP4), multiplied in a 16- or 32-bit compute type."""

    name: ClassVar[str] = "bnb_4bit"
    label: ClassVar[str] = "4-bit NF4/FP4 (bitsandbytes)"
    family: ClassVar[str] = "quantization"
    slot: ClassVar[Slot] = Slot.WEIGHTS
    freezes_weights: ClassVar[bool] = True
    reference: ClassVar[str] = "https://arxiv.org/abs/2305.14314"
    costs: ClassVar[str] = "Weights are expanded for every product: slower than 16 bit at larger batches, and quality drops."
    requires: ClassVar[tuple[str, ...]] = ("bitsandbytes", "accelerate")

    quant_type: Literal["nf4", "fp4"] = Field("nf4", description="NormalFloat 4 (for normally distributed weights) or 4-bit float")
    double_quant: bool = Field(True, description="Quantize the block constants too: 4.13 instead of 4.50 bits a parameter")
    compute_dtype: Literal["bfloat16", "float16", "float32"] = Field(
        "bfloat16", description="Type that the expanded weights are multiplied in"
    )

    def prepare(self, plan: ModelPlan) -> ModelPlan:
        import torch
        from transformers import BitsAndBytesConfig

        config = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type=self.quant_type,
            bnb_4bit_use_double_quant=self.double_quant,
            bnb_4bit_compute_dtype=getattr(torch, self.compute_dtype),
        )
        return plan.evolve(quantization=config)

    def footprint(self, held: Footprint) -> Footprint:
        nested = 256 if self.double_quant else None
        packing = Packing(lambda outputs, inputs: four_bit_bytes(outputs * inputs, 64, nested), expanded=BYTES[self.compute_dtype])
        return held.evolve(packing=packing)

    def apply(self, session: Session) -> None:
        if session.training is not None:
            # On a CPU with AVX512-BF16, the first call in eval mode packs the weights anew for a kernel that gives no gradients,
            # and it stays in use in training mode after that: adapters would silently learn nothing.
            for module in session.model.modules():
                if type(module).__name__ == "Linear4bit":
                    module.support_avx512bf16_for_cpu = False

    def evidence(self, session: Session) -> Evidence:
        import torch

        return layer_evidence(self, session, "Linear4bit", torch.uint8, {
            "quant_type": lambda m: getattr(m.weight.quant_state, "quant_type", None),
            "double_quant": lambda m: getattr(m.weight.quant_state, "state2", None) is not None,
            "compute_dtype": lambda m: str(m.compute_dtype).removeprefix("torch."),
        })  # fmt: skip
