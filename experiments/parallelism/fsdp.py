"""Fully sharded data parallelism by torch (FSDP2): each process keeps its part of every weight, gradient and optimizer state."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from engine.footprint import Footprint
from engine.measurement import Evidence
from engine.technique import Session, Technique, UnsupportedHereError
from experiments.optimizers.base import Optimizer
from experiments.parallelism.shards import deal_out, held, kept_apart
from experiments.parallelism.spread import Spread
from experiments.training.gradient_checkpointing import blocks

if TYPE_CHECKING:
    from engine.devices import Device
    from engine.modelspec import ModelSpec
    from engine.workload import Workload


class Fsdp(Spread):
    """Each process keeps 1/N of weights, gradients and optimizer state, and gathers one block's weights when it is their turn."""

    name: ClassVar[str] = "fsdp"
    label: ClassVar[str] = "FSDP"
    reference: ClassVar[str] = "https://arxiv.org/abs/2304.11277"
    costs: ClassVar[str] = (
        "Weights travel twice in every step beside the gradients. Activations, and the block that is at work, are not split. "
        "Loading takes the whole model in each process. On one CPU the processes share its cores."
    )

    cpu_offload: bool = Field(False, description="Weights, gradients and optimizer state live and are updated in host memory (GPUs only)")

    def unsupported_reason(
        self, device: Device, model: ModelSpec, workload: Workload, stack: Sequence[Technique]
    ) -> str | None:
        if self.cpu_offload and device.kind != "cuda":
            return "cpu_offload moves weights off a GPU, and there is none here; leave it out"
        if any(t.name == "torch_compile" for t in stack):
            return "it gathers weights while the model runs, compiling that is not verified; take torch_compile out, or use ddp"
        if packed := next((t.name for t in stack if t.freezes_weights), None):
            return f"it deals out rows of numbers, {packed} packs them in blocks; use ddp"
        if alien := next((t.name for t in stack if isinstance(t, Optimizer) and not t.takes_shards), None):
            return f"{alien} cannot update parameters of which each process holds a part; use adamw, or ddp"
        return super().unsupported_reason(device, model, workload, stack)

    def footprint(self, held: Footprint) -> Footprint:
        if self.cpu_offload:
            return held.evolve(unknown="fsdp with cpu_offload has no memory formula")
        return held.evolve(group="shards")

    def apply(self, session: Session) -> None:
        assert session.training is not None
        if not (parts := blocks(session.model)):
            raise UnsupportedHereError(f"{type(session.model).__name__} has no blocks that can be gathered one by one")
        deal_out(session.model, parts, session.torch_device, session.ranks.count, self.cpu_offload)
        session.training.last_only = functools.partial(kept_apart, session.model)

    def evidence(self, session: Session) -> Evidence:
        """What each process really holds, and what becomes of gradients that differ from process to process."""
        facts, problem = self.group_facts(session)
        where = "cpu" if self.cpu_offload else session.torch_device
        of_parts, other_problem = held(session.model, len(blocks(session.model)), where)
        return Evidence(facts | of_parts, other_problem or problem)
