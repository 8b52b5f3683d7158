"""torchao float8: e4m3 weights and activations by row, multiplied by the GPU's float8 units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from engine.devices import Device
from engine.footprint import Footprint, Packing
from engine.measurement import Evidence
from engine.technique import Session, Slot, Technique
from experiments.quantization.packed import body
from experiments.quantization.torchao_layers import tensor_evidence

if TYPE_CHECKING:
    from engine.modelspec import ModelSpec
    from engine.workload import Workload


class TorchaoFloat8(Technique):
    """8-bit floating-point weights and activations (e4m3, scaled by row) on GPUs with float8 units (torchao)."""

    name: ClassVar[str] = "torchao_float8"
    label: ClassVar[str] = "float8 (torchao)"
    family: ClassVar[str] = "quantization"
    slot: ClassVar[Slot] = Slot.WEIGHTS
    phase: ClassVar[Literal["any", "inference", "training"]] = "inference"
    reference: ClassVar[str] = "https://github.com/pytorch/ao/tree/main/torchao/quantization"
    costs: ClassVar[str] = "Pays only for large matrix products: at batch 1 quantizing the activations takes longer than it saves."
    requires: ClassVar[tuple[str, ...]] = ("torchao",)

    def unsupported_reason(
        self, device: Device, model: ModelSpec, workload: Workload, stack: Sequence[Technique]
    ) -> str | None:
        if device.kind != "cuda" or device.capability is None or device.capability < (8, 9):
            return "it needs a GPU with float8 units (compute capability 8.9 or newer); torchao_int8_weight_only runs here"
        return None

    def footprint(self, held: Footprint) -> Footprint:
        """A float32 scale a row; multiplied packed."""
        return held.evolve(dtype="bfloat16", packing=Packing(lambda outputs, inputs: outputs * (inputs + 4)))

    def apply(self, session: Session) -> None:
        from torchao.quantization import Float8DynamicActivationFloat8WeightConfig, PerRow, quantize_

        config = Float8DynamicActivationFloat8WeightConfig(granularity=PerRow(), set_inductor_config=False)
        quantize_(session.model.bfloat16(), config, filter_fn=body)  # scaling by row exists for bfloat16 only

    def evidence(self, session: Session) -> Evidence:
        import torch

        return tensor_evidence(session, "Float8Tensor", torch.float8_e4m3fn, activations=True)
