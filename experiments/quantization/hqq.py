"""HQQ: scale and zero point of every group are fitted to the weights alone, so that no calibration data is needed.

Its own linear layers are put in place one by one: transformers' integration of it refuses CPUs. It has an environment of its own,
because transformers imports it, and torch's compiler with it, wherever it is installed.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from engine.footprint import BYTES, Footprint, Packing
from engine.measurement import Evidence
from engine.technique import Session, Slot, Technique, UnsupportedHereError
from experiments.quantization.packed import body, layer_evidence
from experiments.quantization.torch_dynamic_int8 import convert_conv1d


class Hqq(Technique):
    """Weights in 8, 4, 3 or 2 bits by half-quadratic quantization, fitted in seconds without calibration data."""

    name: ClassVar[str] = "hqq"
    label: ClassVar[str] = "HQQ, 8 to 2 bits"
    family: ClassVar[str] = "quantization"
    slot: ClassVar[Slot] = Slot.WEIGHTS
    reference: ClassVar[str] = "https://github.com/mobiusml/hqq"
    costs: ClassVar[str] = (
        "Weights are expanded by plain PyTorch for every product: slower than the model as stored. Each group keeps a scale and a zero "
        "point in the model's number type, so 2 bits are 2.5 with groups of 64 and 4 with groups of 16 in a 16-bit model; 3 bits "
        "take 3.2 along axis 1. Quality falls with every bit. The output head and the embeddings are left as they are. On a CPU, its "
        "package brings torch's compiler into the process, which counts in the peak of a call."
    )
    environment: ClassVar[str] = "hqq"
    requires: ClassVar[tuple[str, ...]] = ("hqq",)

    bits: Literal[8, 4, 3, 2] = Field(4, description="Bits of a weight, without its share of scale and zero point")
    group_size: Literal[16, 32, 64, 128, 256] = Field(64, description="Weights that share a scale and a zero point; smaller is more exact")
    axis: Literal[0, 1] = Field(1, description="Groups run along the inputs of a layer (1), which fast kernels need, or across them (0)")

    def footprint(self, held: Footprint) -> Footprint:
        """Scale and zero point in the model's type; ten weights of 3 bits in 32. Expanding makes three copies: unpacked, less zero, scaled."""
        bits, itemsize = 3.2 if self.bits == 3 else self.bits, BYTES[held.dtype]

        def layer_bytes(outputs: int, inputs: int) -> int:
            return int(outputs * inputs * (bits / 8 + 2 * itemsize / self.group_size))

        return held.evolve(packing=Packing(layer_bytes, expanded=3 * itemsize))

    def apply(self, session: Session) -> None:
        """Layer by layer, each freed when its successor is there: at no time are there two models."""
        from hqq.core.quantize import HQQLinear, hqq_base_quant_config

        config = hqq_base_quant_config(nbits=self.bits, group_size=self.group_size, axis=self.axis)
        convert_conv1d(session.model)
        for name, module in list(session.model.named_modules()):
            if body(module, name):
                if not self._divides(module.weight.numel()):
                    raise UnsupportedHereError(
                        f"hqq: the {module.weight.numel()} weights of {name} cannot be packed in groups of {self.group_size}; "
                        "choose a smaller group_size"
                    )
                packed = HQQLinear(module, config, compute_dtype=module.weight.dtype, device=session.torch_device)
                session.model.set_submodule(name, packed)

    def _divides(self, weights: int) -> bool:
        """Whether the groups come out even, and fill whole bytes where they are packed side by side (axis 1)."""
        groups, rest = divmod(weights, self.group_size)
        return not rest and (self.axis == 0 or self.bits == 3 or groups % (8 // self.bits) == 0)

    def evidence(self, session: Session) -> Evidence:
        import torch

        dtype = torch.int32 if self.bits == 3 else torch.uint8  # ten weights of 3 bits in 32
        return layer_evidence(self, session, "HQQLinear", dtype, {
            "bits": lambda m: m.meta["nbits"], "group_size": lambda m: m.meta["group_size"], "axis": lambda m: m.meta["axis"],
        }, weight="W_q")  # fmt: skip
