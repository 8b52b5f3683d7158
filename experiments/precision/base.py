"""What the precision techniques share: the dtype is the technique's name, and the parameters must show it."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

from engine.measurement import Evidence
from engine.technique import ModelPlan, Session, Slot, Technique


class Precision(Technique):
    family: ClassVar[str] = "precision"
    slot: ClassVar[Slot] = Slot.PRECISION

    def prepare(self, plan: ModelPlan) -> ModelPlan:
        return plan.evolve(dtype=self.name)

    def evidence(self, session: Session) -> Evidence:
        """Every plain floating-point parameter has the dtype; packed and quantized tensors are not plain."""
        import torch

        own = [p.to_local() if hasattr(p, "to_local") else p for p in session.model.parameters()]  # where ranks share them
        plain = [p for p in own if type(p) in (torch.nn.Parameter, torch.Tensor) and p.is_floating_point()]
        seen = Counter(str(p.dtype).removeprefix("torch.") for p in plain)
        other = sorted(set(seen) - {self.name})
        problem = f"some parameters are {', '.join(other)}" if other else None if seen else "no floating-point parameter found"
        return Evidence({"floating_point_parameters_by_dtype": dict(seen)}, problem)
