"""What gptq and awq share: weights that were quantized before and are loaded packed, as their checkpoint has them.

Quantizes nothing: both methods need calibration data and hours, and the hub has their results.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from engine.devices import Device
from engine.measurement import Evidence
from engine.technique import ModelPlan, Session, Slot, Technique
from experiments.quantization.packed import body

if TYPE_CHECKING:
    from engine.modelspec import ModelSpec
    from engine.workload import Workload

_LAYERS = "gptqmodel.nn_modules.qlinear"
"""Where GPTQModel has the layer classes of both methods; which one it takes depends on the device and on its version."""


class Prequantized(Technique):
    family: ClassVar[str] = "quantization"
    slot: ClassVar[Slot] = Slot.WEIGHTS
    environment: ClassVar[str] = "gptq"
    requires: ClassVar[tuple[str, ...]] = ("gptqmodel",)

    def unsupported_reason(
        self, device: Device, model: ModelSpec, workload: Workload, stack: Sequence[Technique]
    ) -> str | None:
        """Of local and hub models only loading can tell whether they were quantized so."""
        if model.source not in ("bundled", "shape"):
            return None
        return f"{model} is not quantized, and this loads what was quantized before; choose a local or hub model whose config says {self.name}"

    def prepare(self, plan: ModelPlan) -> ModelPlan:
        return plan.evolve(stored_quantization=self.name)

    def evidence(self, session: Session) -> Evidence:
        """GPTQModel's layers hold packed integers of the bits and groups that the checkpoint's own config names."""
        layers = [m for m in session.model.modules() if type(m).__module__.startswith(_LAYERS) and hasattr(m, "qweight")]
        plain = [n for n, m in session.model.named_modules() if body(m, n)]
        facts: dict[str, Any] = {
            "layers": dict(Counter(type(m).__name__ for m in layers)), "not_replaced": len(plain),
            "weight_dtypes": dict(Counter(str(m.qweight.dtype) for m in layers)),
            "bits": {str(bits): n for bits, n in Counter(m.bits for m in layers).items()},
            "group_size": {str(size): n for size, n in Counter(m.group_size for m in layers).items()},
        }  # fmt: skip
        if not layers:
            return Evidence(facts, "no layer is one of GPTQModel's")
        if floating := [m for m in layers if m.qweight.is_floating_point()]:
            return Evidence(facts, f"{len(floating)} of its layers hold floating-point weights")
        return Evidence(facts, f"{len(plain)} layers hold plain weights, {plain[0]} first" if len(plain) > len(layers) else None)
