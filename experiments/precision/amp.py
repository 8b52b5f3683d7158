"""What the automatic mixed precision techniques share: float32 weights, forward passes in 16 bit where that is safe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from engine.footprint import Footprint
from engine.measurement import Evidence
from engine.technique import ModelPlan, Session, Slot, Technique
from experiments.training.probe import linear_output_dtype

if TYPE_CHECKING:
    from engine.devices import Device
    from engine.modelspec import ModelSpec
    from engine.workload import Workload


class MixedPrecision(Technique):
    family: ClassVar[str] = "precision"
    slot: ClassVar[Slot] = Slot.PRECISION
    phase: ClassVar[Literal["any", "inference", "training"]] = "training"
    reference: ClassVar[str] = "https://docs.pytorch.org/docs/stable/amp.html"
    dtype: ClassVar[str]

    def unsupported_reason(
        self, device: Device, model: ModelSpec, workload: Workload, stack: Sequence[Technique]
    ) -> str | None:
        frozen = next((t.name for t in stack if t.freezes_weights), None)
        return f"the weights of {frozen} are not float32 and it has a compute type of its own; leave one of them out" if frozen else None

    def prepare(self, plan: ModelPlan) -> ModelPlan:
        return plan.evolve(dtype="float32")  # the master weights

    def footprint(self, held: Footprint) -> Footprint:
        return held.evolve(dtype="float32", autocast=True)

    def apply(self, session: Session) -> None:
        import functools

        import torch

        assert session.training is not None
        session.training.autocast = functools.partial(torch.autocast, session.torch_device, getattr(torch, self.dtype))

    def evidence(self, session: Session) -> Evidence:
        """What a linear layer really returns in a forward pass of the training step, and what its weights are."""
        returned = linear_output_dtype(session)
        weights = sorted({str(p.dtype).removeprefix("torch.") for p in session.model.parameters()})
        facts = {"linear_output_dtype": returned, "weight_dtypes": weights}
        problem = None if returned == self.dtype else f"linear layers return {returned}, not {self.dtype}"
        return Evidence(facts, problem or (None if weights == ["float32"] else f"the weights are {', '.join(weights)}, not float32"))
