"""Gradient checkpointing: blocks keep their input alone, and run again in the backward pass for what they need."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from engine.footprint import Footprint
from engine.measurement import Evidence
from engine.technique import Session, Slot, Technique, UnsupportedHereError
from experiments.training.probe import forward_runs


class GradientCheckpointing(Technique):
    """Recompute the activations of transformer blocks in the backward pass, in place of keeping them."""

    name: ClassVar[str] = "gradient_checkpointing"
    label: ClassVar[str] = "Gradient checkpointing"
    family: ClassVar[str] = "training memory"
    slot: ClassVar[Slot] = Slot.ACTIVATIONS
    reference: ClassVar[str] = "https://arxiv.org/abs/1604.06174"
    costs: ClassVar[str] = "One more forward pass of every checkpointed block. Weights, gradients and optimizer state do not shrink."
    phase: ClassVar[Literal["any", "inference", "training"]] = "training"

    every: int = Field(1, ge=1, le=1000, description="Checkpoint every n-th block: 1 saves most and recomputes most")

    def footprint(self, held: Footprint) -> Footprint:
        return held.evolve(checkpoint_every=self.every)

    def apply(self, session: Session) -> None:
        found = blocks(session.model)
        if not found:
            raise UnsupportedHereError(f"{type(session.model).__name__} has no blocks that can be checkpointed")
        # transformers had only the second name before 5.20, and warns of it since
        enable = getattr(session.model, "activation_checkpointing_enable", None) or session.model.gradient_checkpointing_enable
        enable({"use_reentrant": False})
        for index, block in enumerate(found):
            block.gradient_checkpointing = index % self.every == 0

    def evidence(self, session: Session) -> Evidence:
        """How often each block really runs in one forward and backward pass."""
        runs = forward_runs(session, blocks(session.model))
        wanted = [2 if index % self.every == 0 else 1 for index in range(len(runs))]
        facts = {"blocks": len(runs), "blocks_that_run_twice": sum(r == 2 for r in runs)}
        return Evidence(facts, None if runs == wanted else f"blocks run {runs} times forward, not {wanted}")


def blocks(model: Any) -> list[Any]:
    """The transformer blocks of a model, in order."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    return [m for m in model.modules() if isinstance(m, GradientCheckpointingLayer)]
