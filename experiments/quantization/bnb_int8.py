"""LLM.int8() by bitsandbytes: int8 weights and activations row by row, outlier columns apart in 16 bit."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from engine.footprint import Footprint, Packing
from engine.measurement import Evidence
from engine.technique import ModelPlan, Session, Slot, Technique
from experiments.quantization.packed import layer_evidence


class BnbInt8(Technique):
    """8-bit weights with outlier features kept in 16 bit (LLM.int8)."""

    name: ClassVar[str] = "bnb_int8"
    label: ClassVar[str] = "LLM.int8 (bitsandbytes)"
    family: ClassVar[str] = "quantization"
    slot: ClassVar[Slot] = Slot.WEIGHTS
    freezes_weights: ClassVar[bool] = True
    reference: ClassVar[str] = "https://arxiv.org/abs/2208.07339"
    costs: ClassVar[str] = "Decomposition takes time: often slower than 16 bit below tens of billions of parameters."
    requires: ClassVar[tuple[str, ...]] = ("bitsandbytes", "accelerate")

    threshold: float = Field(
        6.0, ge=0.0, le=1000.0, description="Activations above this magnitude are outliers, multiplied in 16 bit; 0 turns it off"
    )

    def prepare(self, plan: ModelPlan) -> ModelPlan:
        from transformers import BitsAndBytesConfig

        return plan.evolve(quantization=BitsAndBytesConfig(load_in_8bit=True, llm_int8_threshold=self.threshold))

    def footprint(self, held: Footprint) -> Footprint:
        """A float32 scale a row. Products are int32 first; outlier columns are expanded to 16 bit, all of them at worst."""
        packing = Packing(lambda outputs, inputs: outputs * inputs + 4 * outputs, expanded=2 if self.threshold else 0, product_bytes=4)
        return held.evolve(packing=packing)

    def evidence(self, session: Session) -> Evidence:
        import torch

        return layer_evidence(self, session, "Linear8bitLt", torch.int8, {"threshold": lambda m: m.state.threshold})
