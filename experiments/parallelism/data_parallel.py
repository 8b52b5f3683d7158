"""DataParallel by torch: one process that copies the model to every GPU in each step. What DDP has replaced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from engine.measurement import Evidence
from engine.technique import Session, Slot, Technique
from experiments.parallelism.spread import uneven
from experiments.training.probe import forward_places

if TYPE_CHECKING:
    from engine.devices import Device
    from engine.modelspec import ModelSpec
    from engine.training import Training
    from engine.workload import Workload


class DataParallel(Technique):
    """One process drives all GPUs: it copies the weights to each of them in every step, and adds up gradients on the first."""

    name: ClassVar[str] = "data_parallel"
    label: ClassVar[str] = "DataParallel"
    family: ClassVar[str] = "parallelism"
    slot: ClassVar[Slot] = Slot.PARALLELISM
    reference: ClassVar[str] = "https://docs.pytorch.org/docs/stable/generated/torch.nn.DataParallel.html"
    costs: ClassVar[str] = "One Python thread at a time, the whole model copied in every step, and results and optimizer on the first GPU: use DDP."
    phase: ClassVar[Literal["any", "inference", "training"]] = "training"

    def unsupported_reason(
        self, device: Device, model: ModelSpec, workload: Workload, stack: Sequence[Technique]
    ) -> str | None:
        if device.kind != "cuda" or device.gpus < 2:
            return "needs two GPUs in one run, this device has one at most; choose cuda:all on a machine with several, or use ddp"
        if packed := next((t.name for t in stack if t.freezes_weights), None):
            return f"it cannot copy the packed weights of {packed} from GPU to GPU; use ddp"
        return uneven(workload, device.gpus)

    def apply(self, session: Session) -> None:
        import torch

        assert session.training is not None
        session.training.forward = torch.nn.DataParallel(in_autocast(session.model, session.training))

    def evidence(self, session: Session) -> Evidence:
        """The GPUs on which a layer really computed in one forward pass, and in which precision."""
        assert session.training is not None
        places = forward_places(session, session.device.gpus)
        used, dtypes = sorted({device for device, _ in places}), sorted({dtype for _, dtype in places})
        [(_, wanted)] = forward_places(session, 1, session.model)
        facts = {"wrapper": type(session.training.forward).__name__, "devices": used, "linear_output_dtypes": dtypes}
        if len(used) != session.device.gpus:
            return Evidence(facts, f"it computed on {', '.join(used)} only")
        return Evidence(facts, None if dtypes == [wanted] else f"it computed in {', '.join(dtypes)}, not in {wanted}")


def in_autocast(model: Any, training: Training) -> Any:
    """The model as a module that enters training's autocast itself, as it will be when called.

    DataParallel calls each copy in a thread of its own. There autocast is on again, but to its default, float16: in bfloat16 chosen
    outside, a loss that nobody scales would underflow.
    """
    import torch

    class InAutocast(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *args: Any, **options: Any) -> Any:
            with training.autocast():
                return self.model(*args, **options)

    return InAutocast()
