"""TorchScript: the forward pass traced to logits and frozen, one trace per batch size. Without a KV cache: traces hold tensors only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from engine.devices import Device
from engine.footprint import Footprint
from engine.measurement import Evidence
from engine.technique import Session, Slot, Technique, UnsupportedHereError
from experiments.runtime.traced import TracedForward

if TYPE_CHECKING:
    from engine.modelspec import ModelSpec
    from engine.workload import Workload


class Torchscript(Technique):
    """The model traced and frozen to a TorchScript graph that gives logits; each batch size has its own trace."""

    name: ClassVar[str] = "torchscript"
    label: ClassVar[str] = "TorchScript (trace, freeze)"
    family: ClassVar[str] = "runtime"
    slot: ClassVar[Slot] = Slot.RUNTIME
    phase: ClassVar[Literal["any", "inference", "training"]] = "inference"
    reference: ClassVar[str] = "https://docs.pytorch.org/docs/stable/jit.html"
    costs: ClassVar[str] = (
        "No KV cache: every new token computes the whole sequence again, so compare it with kv_cache off. Sequences without padding "
        "only. Deprecated by PyTorch in favour of torch.compile."
    )

    def unsupported_reason(
        self, device: Device, model: ModelSpec, workload: Workload, stack: Sequence[Technique]
    ) -> str | None:
        if workload.pads:
            return f"its traces hold for sequences without padding, which {workload.name} has; choose the workload generation"
        for other in stack:
            if other.slot is Slot.KV_CACHE and getattr(other, "mode", None) != "off":
                return "a trace holds no KV cache; set kv_cache to mode off, or take it out of the stack"
            if other.slot is Slot.WEIGHTS:
                return f"the packed weights of {other.name} cannot be frozen into a trace; take it out of the stack"
        return None

    def footprint(self, held: Footprint) -> Footprint:
        return held.evolve(cached=None)

    def apply(self, session: Session) -> None:
        from engine.meter import is_out_of_memory

        traced = TracedForward(session.model)
        try:  # one trace now, so that a model that cannot be traced is known before anything is measured
            traced.trace(1, 0)
        except (RuntimeError, TypeError, ValueError, AttributeError, NotImplementedError) as error:
            if is_out_of_memory(error):  # a result of its own, not a property of the model
                raise
            reason = f"torchscript: the model cannot be traced: {type(error).__name__}: {error}"
            raise UnsupportedHereError(reason[:2000]) from error
        session.model.forward = traced
        session.model.frozen_tensors = traced.frozen_tensors()  # seen by whoever counts the bytes of the model
        session.generate_options["use_cache"] = False
        session.compile_seconds = lambda: sum(traced.seconds.values())

    def evidence(self, session: Session) -> Evidence:
        """The frozen graph that answered a forward pass of this model, and the seconds that tracing and freezing took."""
        import torch

        traced = session.model.forward
        if not isinstance(traced, TracedForward):
            return Evidence({}, "the model's forward is not a trace")
        calls = traced.calls
        with torch.inference_mode():
            session.model(torch.tensor([[2, 3, 4, 5]], device=session.torch_device))
        graph = traced.traces[1, 0]
        nodes = sum(1 for _ in graph.graph.nodes())
        frozen = not list(graph.parameters()) and bool(traced.frozen_tensors())
        facts = {"graph_nodes": nodes, "frozen": frozen, "trace_seconds": {what: round(s, 3) for what, s in traced.seconds.items()}}
        return Evidence(facts, None if frozen and traced.calls == calls + 1 else "the frozen trace was not what answered")
