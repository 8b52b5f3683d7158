"""What the techniques share that spread training over processes: how many, on which batches, and the proof that they train
one model: gradients of different sequences come out as their mean in every process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from engine.technique import Session, Slot, Technique
from experiments.training.probe import gradient_sums

if TYPE_CHECKING:
    from engine.devices import Device
    from engine.modelspec import ModelSpec
    from engine.workload import Workload


def uneven(workload: Workload, count: int) -> str | None:
    """Why so many devices or processes cannot share this workload's batches; None if they can."""
    if not workload.spreads:
        return f"the workload {workload.name} cannot be shared; choose training_step"
    sizes = [size for size in getattr(workload, "batch_sizes", ()) if size % count]
    return f"batch_sizes: {sizes[0]} sequences cannot be dealt out evenly to {count}; use multiples of {count}" if sizes else None


class Spread(Technique):
    family: ClassVar[str] = "parallelism"
    slot: ClassVar[Slot] = Slot.PARALLELISM
    phase: ClassVar[Literal["any", "inference", "training"]] = "training"

    processes: int = Field(2, ge=1, le=64, description="Processes that share every batch; on GPUs at most one for each GPU of the run")

    def processes_on(self, device: Device) -> int:
        return min(self.processes, device.gpus) if device.kind == "cuda" else self.processes

    def unsupported_reason(
        self, device: Device, model: ModelSpec, workload: Workload, stack: Sequence[Technique]
    ) -> str | None:
        return uneven(workload, self.processes_on(device))

    def group_facts(self, session: Session) -> tuple[dict[str, Any], str | None]:
        """Facts of the group that has really formed, and what contradicts that it trains one model."""
        import torch
        from torch import distributed

        count = distributed.get_world_size()
        backend = distributed.group.WORLD._get_backend(torch.device(session.torch_device)).name()  # type: ignore[union-attr]
        first, second = gradient_sums(session, 3), gradient_sums(session, 11)
        mixed = gradient_sums(session, 3 if session.ranks.rank % 2 == 0 else 11)
        of_first = (count + 1) // 2
        mean = (first * of_first + second * (count - of_first)) / count
        apart = float((first - second).norm())
        off = float((mixed - mean).norm()) / apart if apart else 1.0
        facts = {"processes": count, "backend": backend, "distance_from_mean_gradient": round(off, 4)}
        if count != self.processes_on(session.device):
            return facts, f"{count} processes have formed a group, not {self.processes_on(session.device)}"
        # a rank that keeps to itself is off by 1/3 (of three ranks) or more; rounding of 16-bit gradients is far below this
        return facts, "gradients are not the mean of all processes" if off > 0.1 else None
