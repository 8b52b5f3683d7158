"""TensorRT by torch_tensorrt: torch.compile hands the graphs of the forward pass to TensorRT, which builds engines of them.

TensorRT 11 takes every precision from the graph: int8 are the layers that NVIDIA's modelopt puts in, calibrated on the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from engine.devices import Device
from engine.environments import ENVIRONMENTS
from engine.measurement import Evidence
from engine.technique import ModelPlan, Session, Slot, Technique
from engine.texts import load_text

if TYPE_CHECKING:
    from engine.modelspec import ModelSpec
    from engine.workload import Workload


class TensorRt(Technique):
    """Compile the model into TensorRT engines for this GPU, in 16-bit floating point or calibrated int8."""

    name: ClassVar[str] = "tensorrt"
    label: ClassVar[str] = "TensorRT"
    family: ClassVar[str] = "runtime"
    slot: ClassVar[Slot] = Slot.RUNTIME
    phase: ClassVar[Literal["any", "inference", "training"]] = "inference"
    reference: ClassVar[str] = "https://docs.pytorch.org/TensorRT/dynamo/torch_compile.html"
    costs: ClassVar[str] = (
        "Engines are built for one GPU at the first call, minutes each for large models. This is TensorRT itself: "
        "TensorRT-RTX, made for GeForce cards, does not run on compute capability 9.0 (H100, H200)."
    )
    environment: ClassVar[str] = "tensorrt"
    requires: ClassVar[tuple[str, ...]] = ("torch_tensorrt", "tensorrt")
    own_gpu_memory: ClassVar[bool] = True

    precision: Literal["float16", "bfloat16", "float32", "int8"] = Field("float16", description="What the engines compute in")

    def unsupported_reason(self, device: Device, model: ModelSpec, workload: Workload, stack: Sequence[Technique]) -> str | None:
        if device.kind != "cuda" or (device.capability or (0, 0)) < (7, 5):
            return "TensorRT needs an NVIDIA GPU of compute capability 7.5 or newer; choose another device, or onnxruntime on a CPU"
        if model.source == "none" or workload.name == "training_step":
            return "TensorRT engines can only be called, not trained or taken apart; choose another workload"
        if others := [t.name for t in stack if t.slot in (Slot.PRECISION, Slot.WEIGHTS, Slot.ADAPTER)]:
            return f"its own precision option says what it computes in; take {others[0]} out of the stack"
        if self.precision == "int8" and not ENVIRONMENTS[self.environment].has("modelopt"):
            return f"int8 needs modelopt: python -m pip install nvidia-modelopt --target {ENVIRONMENTS[self.environment].packages} --no-deps"
        return None

    def prepare(self, plan: ModelPlan) -> ModelPlan:
        return plan.evolve(dtype="float16" if self.precision == "int8" else self.precision)

    def apply(self, session: Session) -> None:
        import torch
        import torch_tensorrt  # noqa: F401 - registers the backend

        if self.precision == "int8":
            import modelopt.torch.quantization as mtq

            ids = session.tokenizer(load_text(session.texts_dir).content[:8000], return_tensors="pt").input_ids[:, :512]
            with torch.inference_mode():
                mtq.quantize(session.model, mtq.INT8_DEFAULT_CFG, forward_loop=lambda model: model(ids.to(session.torch_device)))
        session.model.forward = torch.compile(session.model.forward, backend="torch_tensorrt", options={"min_block_size": 1})

    def evidence(self, session: Session) -> Evidence:
        """How many engines one real call runs, read from a profile of it."""
        import torch

        ids = torch.tensor([[1, 2, 3, 4]], device=session.torch_device)
        with torch.inference_mode():
            session.model(input_ids=ids, attention_mask=torch.ones_like(ids))
            with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
                session.model(input_ids=ids, attention_mask=torch.ones_like(ids))
        engines = sum(e.count for e in profile.key_averages() if e.key == "tensorrt::execute_engine")
        quantizers = sum(type(m).__name__ == "TensorQuantizer" for m in session.model.modules())
        missing = self.precision == "int8" and not quantizers
        problem = "a call ran no TensorRT engine" if not engines else "no layer was quantized" if missing else None
        return Evidence({"engine_calls": engines, "quantizers": quantizers, "dtype": str(session.model.dtype)}, problem)
