"""ONNX Runtime: the model exported once to a graph by Optimum, and run by ONNX Runtime in place of PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from engine.devices import Device
from engine.measurement import Evidence
from engine.technique import ModelPlan, Session, Slot, Technique
from experiments.runtime.onnx_files import (
    PROVIDERS,
    OnnxLoader,
    file_facts,
    provider_on,
    read_placement,
    without_provider,
)

if TYPE_CHECKING:
    from engine.modelspec import ModelSpec
    from engine.workload import Workload


class OnnxRuntime(Technique):
    """Export the model to ONNX in float32 and run the graph with ONNX Runtime's own kernels and fusions."""

    name: ClassVar[str] = "onnxruntime"
    label: ClassVar[str] = "ONNX Runtime"
    family: ClassVar[str] = "runtime"
    slot: ClassVar[Slot] = Slot.RUNTIME
    phase: ClassVar[Literal["any", "inference", "training"]] = "inference"
    reference: ClassVar[str] = "https://huggingface.co/docs/optimum-onnx/onnxruntime/overview"
    costs: ClassVar[str] = (
        "An export, once per model, and its disk space. Nothing else can be stacked on it. Its memory on a GPU is outside "
        "PyTorch's allocator, so no peak is measured there."
    )
    environment: ClassVar[str] = "onnx"
    requires: ClassVar[tuple[str, ...]] = ("optimum", "onnxruntime", "onnx")
    own_gpu_memory: ClassVar[bool] = True

    provider: Literal["auto", "cpu", "cuda", "tensorrt"] = Field("auto", description="What runs the graph; auto follows the device")

    def unsupported_reason(
        self, device: Device, model: ModelSpec, workload: Workload, stack: Sequence[Technique]
    ) -> str | None:
        if model.source == "shape":
            return f"{model.name} has random weights and no checkpoint to export; choose a bundled, local or hub model"
        if model.source == "none" or workload.name == "training_step":
            return "an exported graph can only be called, not trained or taken apart; choose another workload"
        if others := [t.name for t in stack if t.name != self.name]:
            return f"{others[0]} changes a PyTorch model, and this runs an exported graph; take one of them out of the stack"
        provider = provider_on(device.kind, self.provider)
        if (provider == "cpu") != (device.kind == "cpu"):
            return f"provider: {provider} does not run on device {device.id}; use auto"
        return None if provider == "cpu" else without_provider(provider)

    def prepare(self, plan: ModelPlan) -> ModelPlan:
        return plan.evolve(loader=OnnxLoader(self.provider))

    def evidence(self, session: Session) -> Evidence:
        """The session's providers, and by profile which operators one real call ran on which of them."""
        import torch

        if not hasattr(session.model, "session"):
            return Evidence({"class": type(session.model).__name__}, "the model is a PyTorch model, not a session of ONNX Runtime")
        runtime, ids = session.model.session, torch.tensor([[1, 2, 3, 4]], device=session.torch_device)
        session.model(input_ids=ids, attention_mask=torch.ones_like(ids))
        wanted, placed, file = PROVIDERS[provider_on(session.device.kind, self.provider)], read_placement(runtime), file_facts(session.model)
        facts: dict[str, Any] = {
            "class": type(session.model).__name__, "providers": runtime.get_providers(),
            "nodes_by_provider": {provider: sum(counts.values()) for provider, counts in placed.items()},
            **{f"nodes_on_{provider}": counts for provider, counts in placed.items()},
            "threads": runtime.get_session_options().intra_op_num_threads, "nodes_in_file": file["nodes"],
        }  # fmt: skip
        return Evidence(facts, None if placed.get(wanted) else f"no node ran on {wanted}: {', '.join(placed) or 'none ran at all'}")
