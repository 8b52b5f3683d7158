"""DistributedDataParallel by torch: one whole model per process, gradients averaged while the backward pass goes on."""

from __future__ import annotations

from typing import ClassVar

from engine.footprint import Footprint
from engine.measurement import Evidence
from engine.technique import Session
from experiments.parallelism.spread import Spread


class Ddp(Spread):
    """Each process trains a whole model on its share of every batch; gradients are averaged over all of them."""

    name: ClassVar[str] = "ddp"
    label: ClassVar[str] = "DDP"
    reference: ClassVar[str] = "https://arxiv.org/abs/2006.15704"
    costs: ClassVar[str] = (
        "Saves no memory: weights, gradients and optimizer state in every process, and buckets as large as the gradients to exchange "
        "them. Each step waits for the slowest process. On one CPU the processes share its cores."
    )

    def footprint(self, held: Footprint) -> Footprint:
        return held.evolve(group="copies")

    def apply(self, session: Session) -> None:
        import torch
        from torch.nn.parallel import DistributedDataParallel

        assert session.training is not None
        devices = [torch.cuda.current_device()] if session.torch_device == "cuda" else None
        wrapped = DistributedDataParallel(session.model, device_ids=devices)
        session.training.forward, session.training.last_only = wrapped, wrapped.no_sync

    def evidence(self, session: Session) -> Evidence:
        """The wrapper that training calls, and what becomes of gradients that differ from process to process."""
        from torch.nn.parallel import DistributedDataParallel

        assert session.training is not None
        forward = session.training.forward
        facts, problem = self.group_facts(session)
        facts["wrapper"] = type(forward).__name__
        wrapped = isinstance(forward, DistributedDataParallel) and forward.module is session.model
        return Evidence(facts, problem if wrapped else f"training calls {type(forward).__name__}, not DistributedDataParallel")
