"""4-bit weights by bitsandbytes, as in QLoRA: NF4 or FP4 in blocks of 64, constants optionally quantized again."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from engine.measurement import Evidence
from engine.technique import ModelPlan, Session, Slot, Technique
from experiments.quantization.packed import layer_evidence


class Bnb4bit(Technique):
    """4-bit weights (NF4 or FP4), multiplied in a 16- or 32-bit compute type."""

    name: ClassVar[str] = "bnb_4bit"
    label: ClassVar[str] = "4-bit NF4/FP4 (bitsandbytes)"
    family: ClassVar[str] = "quantization"
    slot: ClassVar[Slot] = Slot.WEIGHTS
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

    def evidence(self, session: Session) -> Evidence:
        import torch

        shown = layer_evidence(session, "Linear4bit", torch.uint8, {"compute_dtype": self.compute_dtype})
        states = [m.weight.quant_state for m in session.model.modules() if type(m).__name__ == "Linear4bit"]
        types = sorted({s.quant_type for s in states if s is not None})
        nested = sorted({bool(s.nested) for s in states if s is not None})
        facts = shown.facts | {"quant_types": types, "double_quant": nested}
        wrong = types != [self.quant_type] or nested != [self.double_quant]
        return Evidence(facts, shown.problem or (f"quantized as {types}, double {nested}" if wrong else None))
