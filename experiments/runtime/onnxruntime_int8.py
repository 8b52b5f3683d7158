"""ONNX Runtime with dynamic int8: weights quantized once in the file, activations at every call, by Optimum's ORTQuantizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from engine.devices import Device
from engine.measurement import Evidence
from engine.technique import ModelPlan, Session, Technique
from experiments.runtime.onnx_files import OnnxLoader, file_facts
from experiments.runtime.onnxruntime import OnnxRuntime

if TYPE_CHECKING:
    from engine.modelspec import ModelSpec
    from engine.workload import Workload

_IN_FILE = ("MatMulInteger", "QLinearMatMul", "ConvInteger")
_AS_RUN = (*_IN_FILE, "DynamicQuantizeMatMul", "MatMulIntegerToFloat")  # fused when the session is made
_QUANTIZED_AT_CALLS = ("DynamicQuantizeLinear", "DynamicQuantizeMatMul")


class OnnxRuntimeInt8(OnnxRuntime):
    """Dynamic int8 in ONNX Runtime: 8-bit weights and 8-bit matrix products, set up for this CPU's instructions."""

    name: ClassVar[str] = "onnxruntime_int8"
    label: ClassVar[str] = "ONNX Runtime dynamic int8"
    reference: ClassVar[str] = "https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html"
    costs: ClassVar[str] = (
        "One scale per activation tensor: made for encoders. Language models with outlier activations can lose all quality; "
        "look at the perplexity. Embeddings are quantized too."
    )

    per_channel: bool = Field(False, description="One scale per output channel of a weight, in place of one for the whole weight")

    def unsupported_reason(
        self, device: Device, model: ModelSpec, workload: Workload, stack: Sequence[Technique]
    ) -> str | None:
        if device.kind != "cpu":
            return "its int8 kernels exist for CPUs only; choose device cpu, or bnb_int8 on a GPU"
        return super().unsupported_reason(device, model, workload, stack)

    def prepare(self, plan: ModelPlan) -> ModelPlan:
        return plan.evolve(loader=OnnxLoader("cpu", self.per_channel))

    def evidence(self, session: Session) -> Evidence:
        """Integer products counted twice: in the file, and among the nodes that a real call ran."""
        shown = super().evidence(session)
        if shown.problem:
            return shown
        file = file_facts(session.model)
        ran = shown.facts["nodes_on_CPUExecutionProvider"]
        in_file = sum(file["nodes"].get(op, 0) for op in _IN_FILE)
        facts = shown.facts | {
            "integer_products_in_file": in_file,
            "integer_products_run": sum(ran.get(op, 0) for op in _AS_RUN),
            "activations_quantized_at_calls": sum(ran.get(op, 0) for op in _QUANTIZED_AT_CALLS),
            "quantized_for": file.get("quantized_for"),
            "per_channel": file.get("per_channel"),
        }
        if not in_file or not facts["integer_products_run"]:
            return Evidence(facts, "no integer matrix product is in the graph, or none was run")
        other = facts["per_channel"] is not self.per_channel
        return Evidence(facts, f"the file was quantized with per_channel={facts['per_channel']}" if other else None)
