"""PyTorch's dynamic quantization: int8 linear weights per tensor, activations quantized on the fly. CPU only.

GPT-2 stores its projections as Conv1D, which this would skip without a word: they are turned into nn.Linear first.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from engine.devices import Device
from engine.measurement import Evidence
from engine.technique import ModelPlan, Session, Slot, Technique

if TYPE_CHECKING:
    from engine.modelspec import ModelSpec
    from engine.workload import Workload


class TorchDynamicInt8(Technique):
    """8-bit linear layers by torch's dynamic quantization (GPT-2's Conv1D layers are converted first)."""

    name: ClassVar[str] = "torch_dynamic_int8"
    label: ClassVar[str] = "Dynamic int8 (PyTorch)"
    family: ClassVar[str] = "quantization"
    slot: ClassVar[Slot] = Slot.WEIGHTS
    phase: ClassVar[Literal["any", "inference", "training"]] = "inference"
    reference: ClassVar[str] = "https://docs.pytorch.org/docs/stable/quantization.html"
    costs: ClassVar[str] = (
        "One scale per weight matrix: language models lose a lot of quality. A tied output head is untied, so the embedding stays "
        "float32 beside it. All else computes in float32, also in a model stored in 16 bit. Deprecated by PyTorch in favour of torchao."
    )

    def unsupported_reason(
        self, device: Device, model: ModelSpec, workload: Workload, stack: Sequence[Technique]
    ) -> str | None:
        if device.kind != "cpu":
            return "its int8 kernels exist for CPUs only; choose device cpu, or bnb_int8 on a GPU"
        half = [t.name for t in stack if t.name in ("float16", "bfloat16")]
        return f"it needs float32 weights; take {half[0]} out of the stack" if half else None

    def prepare(self, plan: ModelPlan) -> ModelPlan:
        """Its kernels take and give float32 alone, so a model stored in 16 bit is loaded as float32."""
        return plan.evolve(dtype="float32")

    def apply(self, session: Session) -> None:
        import torch

        convert_conv1d(session.model)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="torch.ao.quantization is deprecated", category=DeprecationWarning)
            warnings.filterwarnings("ignore", message="torch.quantize_per", category=UserWarning)
            session.model = torch.ao.quantization.quantize_dynamic(session.model, {torch.nn.Linear}, dtype=torch.qint8)

    def evidence(self, session: Session) -> Evidence:
        import torch

        quantized = [m for m in session.model.modules() if isinstance(m, torch.ao.nn.quantized.dynamic.Linear)]
        plain = [n for n, m in session.model.named_modules() if type(m) is torch.nn.Linear or type(m).__name__ == "Conv1D"]
        dtypes = sorted({str(m.weight().dtype) for m in quantized})
        others = sorted({str(p.dtype) for p in session.model.parameters() if p.is_floating_point()})
        facts = {"quantized_linear_layers": len(quantized), "plain_linear_layers": len(plain), "weight_dtypes": dtypes,
                 "other_parameter_dtypes": others}
        if not quantized:
            return Evidence(facts, "no linear layer was quantized")
        if others != ["torch.float32"]:
            return Evidence(facts, f"its layers compute in float32, the rest of the model is {', '.join(others)}")
        return Evidence(facts, f"{len(plain)} layers were left as they were, {plain[0]} first" if plain else None)


def convert_conv1d(model: Any) -> None:
    """Replace transformers' Conv1D (weight stored (in, out)) by nn.Linear (out, in), in place, same function."""
    import torch
    from transformers.pytorch_utils import Conv1D

    for name, module in list(model.named_modules()):
        if isinstance(module, Conv1D):
            inputs, outputs = module.weight.shape
            linear = torch.nn.Linear(inputs, outputs, bias=True, device=module.weight.device, dtype=module.weight.dtype)
            linear.weight = torch.nn.Parameter(module.weight.detach().t().contiguous(), requires_grad=False)
            linear.bias = torch.nn.Parameter(module.bias.detach(), requires_grad=False)
            model.set_submodule(name, linear)
