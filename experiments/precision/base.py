"""What the precision techniques share: the dtype is the technique's name, and the parameters must show it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, ClassVar

from engine.footprint import Footprint
from engine.measurement import Evidence
from engine.technique import ModelPlan, Session, Slot, Technique


class Precision(Technique):
    family: ClassVar[str] = "precision"
    slot: ClassVar[Slot] = Slot.PRECISION

    def prepare(self, plan: ModelPlan) -> ModelPlan:
        return plan.evolve(dtype=self.name)

    def footprint(self, held: Footprint) -> Footprint:
        return held.evolve(dtype=self.name)

    def evidence(self, session: Session) -> Evidence:
        """Every plain floating-point parameter has the dtype; packed and quantized tensors are not plain.

        An adapter's own matrices are float32 whatever the model is (peft), and what quantization leaves of a model is made float32 for
        training beside it (prepare_model_for_kbit_training): both are said, neither is held against the technique.
        """
        adapter = session.training.adapter if session.training is not None else None
        named = {n: p.to_local() if hasattr(p, "to_local") else p for n, p in session.model.named_parameters()}  # where ranks share them
        of_adapter = _dtypes(p for n, p in named.items() if adapter is not None and "lora_" in n)
        seen = _dtypes(p for n, p in named.items() if adapter is None or "lora_" not in n)
        facts: dict[str, Any] = {"floating_point_parameters_by_dtype": seen} | ({"adapter": of_adapter} if of_adapter else {})
        allowed = {self.name}
        if adapter is not None and session.plan.quantization is not None:
            allowed.add("float32")
            facts["prepared_for_k_bit_training"] = True
        other = sorted(set(seen) - allowed)
        problem = f"some parameters are {', '.join(other)}" if other else None if seen else "no floating-point parameter found"
        return Evidence(facts, problem)


def _dtypes(parameters: Iterable[Any]) -> dict[str, int]:
    import torch

    plain = (p for p in parameters if type(p) in (torch.nn.Parameter, torch.Tensor) and p.is_floating_point())
    return dict(Counter(str(p.dtype).removeprefix("torch.") for p in plain))
