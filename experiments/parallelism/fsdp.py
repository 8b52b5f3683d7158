"""Fully sharded data parallelism by torch (FSDP2): each process keeps its part of every weight, gradient and optimizer state."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from engine.measurement import Evidence
from engine.technique import Session, Technique, UnsupportedHereError
from experiments.optimizers.base import Optimizer
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
        if packed := next((t.name for t in stack if t.freezes_weights), None):
            return f"it deals out rows of numbers, {packed} packs them in blocks; use ddp"
        if alien := next((t.name for t in stack if isinstance(t, Optimizer) and not t.takes_shards), None):
            return f"{alien} cannot update parameters of which each process holds a part; use adamw, or ddp"
        return super().unsupported_reason(device, model, workload, stack)

    def apply(self, session: Session) -> None:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import CPUOffloadPolicy, OffloadPolicy, fully_shard

        assert session.training is not None
        if not (parts := blocks(session.model)):
            raise UnsupportedHereError(f"{type(session.model).__name__} has no blocks that can be gathered one by one")
        mesh = init_device_mesh(session.torch_device, (session.ranks.count,))
        offload = CPUOffloadPolicy() if self.cpu_offload else OffloadPolicy()
        for module in (*parts, session.model):
            # the whole model resharded too: else its parameters are whole ones between a forward pass and the next backward pass
            fully_shard(module, mesh=mesh, reshard_after_forward=True, offload_policy=offload)
            # gloo adds up where a mean is asked for, without a word (pytorch issue 162338)
            module.set_force_sum_reduction_for_comms(session.torch_device == "cpu")
        session.training.last_only = functools.partial(_kept_apart, session.model)

    def evidence(self, session: Session) -> Evidence:
        """What each process really holds, and what becomes of gradients that differ from process to process."""
        from torch.distributed.fsdp import FSDPModule
        from torch.distributed.tensor import DTensor

        facts, problem = self.group_facts(session)
        parameters = list(session.model.parameters())
        sharded = [p for p in parameters if isinstance(p, DTensor)]
        modules, whole = sum(isinstance(m, FSDPModule) for m in session.model.modules()), len(parameters) - len(sharded)
        facts |= {"sharded_modules": modules, "sharded_parameters": len(sharded), "whole_parameters": whole,
                  "placements": sorted({str(p.placements) for p in sharded}), "kept_on": sorted({p.device.type for p in parameters})}  # fmt: skip
        if modules != len(blocks(session.model)) + 1 or whole:
            problem = f"{modules} modules are sharded, and {whole} parameters are whole"
        elif facts["kept_on"] != ["cpu" if self.cpu_offload else session.torch_device]:
            problem = f"the weights are on {', '.join(facts['kept_on'])}"
        return Evidence(facts, problem)


@contextlib.contextmanager
def _kept_apart(model: Any) -> Iterator[None]:
    """For backward passes whose gradients are to be exchanged with those of a later one."""
    model.set_requires_gradient_sync(False)
    try:
        yield
    finally:
        model.set_requires_gradient_sync(True)
