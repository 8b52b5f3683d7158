"""torchao int4 weight-only: groups along the input share a scale and a zero point; tinygemm's kernels on GPU and CPU."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from engine.devices import Device
from engine.footprint import Footprint, Packing
from engine.measurement import Evidence
from engine.technique import Session, Slot, Technique
from experiments.quantization.packed import body
from experiments.quantization.torchao_layers import tensor_evidence

if TYPE_CHECKING:
    from engine.modelspec import ModelSpec
    from engine.workload import Workload


class TorchaoInt4WeightOnly(Technique):
    """4-bit integer weights in groups, multiplied by kernels that unpack them on the fly (torchao, tinygemm)."""

    name: ClassVar[str] = "torchao_int4_weight_only"
    label: ClassVar[str] = "int4 weight-only (torchao)"
    family: ClassVar[str] = "quantization"
    slot: ClassVar[Slot] = Slot.WEIGHTS
    phase: ClassVar[Literal["any", "inference", "training"]] = "inference"
    reference: ClassVar[str] = "https://github.com/pytorch/ao/tree/main/torchao/quantization"
    costs: ClassVar[str] = (
        "Quality drops, more with larger groups. On a GPU the whole model becomes bfloat16, the only type of its kernel; "
        "on a CPU the packing is one that torchao calls a prototype."
    )
    requires: ClassVar[tuple[str, ...]] = ("torchao",)

    group_size: Literal[32, 64, 128, 256] = Field(64, description="Weights along the input that share a scale; smaller is more exact")

    def unsupported_reason(
        self, device: Device, model: ModelSpec, workload: Workload, stack: Sequence[Technique]
    ) -> str | None:
        if device.kind == "cuda" and (device.capability or (0, 0)) < (8, 0):
            return "its kernel needs bfloat16 units (compute capability 8.0 or newer); choose bnb_4bit"
        if device.kind == "cuda" and any(t.name in ("float16", "float32") for t in stack):
            return "its GPU kernel multiplies bfloat16 only; put bfloat16 into the stack or leave the precision out"
        return None

    def footprint(self, held: Footprint) -> Footprint:
        """A bfloat16 scale and zero point for each group; its layout fills rows up to multiples of 1,024 inputs."""

        def layer_bytes(outputs: int, inputs: int) -> int:
            return int(outputs * math.ceil(inputs / 1024) * 1024 * (0.5 + 4 / self.group_size))

        return held.evolve(dtype="bfloat16", packing=Packing(layer_bytes))

    def apply(self, session: Session) -> None:
        from torchao.quantization import Int4WeightOnlyConfig, quantize_

        if session.device.kind == "cuda":
            config = Int4WeightOnlyConfig(self.group_size, int4_packing_format="tile_packed_to_4d", set_inductor_config=False)
            quantize_(session.model.bfloat16(), config, filter_fn=body)
        else:
            from torchao.prototype.quantization.int4.inference_workflow import PrototypeInt4WeightOnlyConfig

            config = PrototypeInt4WeightOnlyConfig(group_size=self.group_size, set_inductor_config=False)
            quantize_(session.model, config, filter_fn=body)

    def evidence(self, session: Session) -> Evidence:
        import torch

        if session.device.kind == "cuda":
            return tensor_evidence(session, "Int4TilePackedTo4dTensor", torch.int32, packed=None)
        return tensor_evidence(session, "Int4OpaqueTensor", torch.uint8, packed=2)
