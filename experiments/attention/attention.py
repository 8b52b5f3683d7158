"""Which implementation computes attention: the plain formula, one of PyTorch's fused kernels, flex, or the flash-attn package."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, model_validator

from engine.devices import Device
from engine.footprint import Footprint
from engine.measurement import Evidence
from engine.technique import ModelPlan, Session, Slot, Technique
from experiments.attention import availability, kernel_names, kernels

if TYPE_CHECKING:
    from engine.modelspec import ModelSpec
    from engine.workload import Workload


class Attention(Technique):
    """Exact attention by another kernel: fused ones never hold the n x n scores in memory."""

    name: ClassVar[str] = "attention"
    label: ClassVar[str] = "Attention kernel"
    family: ClassVar[str] = "attention"
    slot: ClassVar[Slot] = Slot.ATTENTION
    reference: ClassVar[str] = "https://arxiv.org/abs/2205.14135"
    costs: ClassVar[str] = (
        "Rounding differs from kernel to kernel. The fastest need 16-bit numbers and a GPU; short sequences gain little. "
        "Most models use sdpa as they are, so eager shows what that is worth."
    )
    needs_model: ClassVar[bool] = False

    implementation: kernels.Implementation = Field(
        "sdpa", description="eager: matrix product, softmax, matrix product. sdpa: PyTorch's. tiled: a lesson, for attention_kernel only"
    )
    kernel: kernels.Kernel = Field("auto", description="For sdpa: which of its kernels must run")

    @model_validator(mode="after")
    def _kernel_of_sdpa(self) -> Attention:
        if self.kernel != "auto" and self.implementation != "sdpa":
            raise ValueError(f"kernel: only sdpa has kernels to choose from; leave it at auto with {self.implementation}")
        return self

    def unsupported_reason(
        self, device: Device, model: ModelSpec, workload: Workload, stack: Sequence[Technique]
    ) -> str | None:
        if self.implementation == "tiled" and model.source != "none":
            return "tiled is a lesson in plain PyTorch for the workload attention_kernel; choose sdpa for a model"
        backward = workload.trains or getattr(workload, "direction", "") == "forward_backward"
        if self.implementation == "flex_attention" and device.kind == "cpu" and backward:
            return "flex_attention has no backward pass on a CPU; choose sdpa, a forward pass alone, or device cuda"
        if self.kernel != "auto" and workload.trains and any(t.slot is Slot.ACTIVATIONS for t in stack):
            return "blocks that are recomputed in the backward pass choose their kernel anew; choose kernel auto, or leave checkpointing out"
        dtype, where = availability.dtype_of(model, workload, stack)
        reason = availability.cannot_run(self.implementation, self.kernel, device, dtype, where)
        return reason or availability.masks_without_kernel(self.kernel, device, stack)

    def footprint(self, held: Footprint) -> Footprint:
        """Only the plain formula and SDPA's math kernel hold the scores."""
        if self.implementation == "sdpa":
            return held.evolve(attention={"auto": "auto", "math": "math"}.get(self.kernel, "fused"))
        return held.evolve(attention="eager" if self.implementation == "eager" else "fused")

    def prepare(self, plan: ModelPlan) -> ModelPlan:
        named = "flash_attention_4" if self.implementation == "flash_attn_4" else self.implementation  # as transformers calls it
        return plan.evolve(load_options=plan.load_options | {"attn_implementation": named})

    def apply(self, session: Session) -> None:
        if session.model is None:
            session.attention = functools.partial(kernels.attention_call, self.implementation, self.kernel)
        elif self.kernel != "auto":
            forward = session.model.forward

            @functools.wraps(forward)
            def with_kernel(*args: Any, **kwargs: Any) -> Any:
                with kernels.only_kernel(self.kernel):
                    return forward(*args, **kwargs)

            session.model.forward = with_kernel

    def evidence(self, session: Session) -> Evidence:
        """The kernels in the profile of one small forward pass."""
        try:
            names = kernel_names.profiled(kernel_names.small_call(session), session.torch_device)
        except RuntimeError as error:  # a kernel that was forced refuses these inputs
            return Evidence({"kernels": []}, f"it cannot run: {str(error).splitlines()[0][:300]}")
        return Evidence({"kernels": names}, kernel_names.contradiction(self.implementation, self.kernel, names))
