"""float32: 4 bytes a number, the reference precision of the chapter's comparisons; its products may be rounded to TF32."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from engine.measurement import Evidence
from engine.technique import Session, Technique
from experiments.precision.base import Precision

if TYPE_CHECKING:
    from engine.devices import Device
    from engine.modelspec import ModelSpec
    from engine.workload import Workload


class Float32(Precision):
    """Weights and arithmetic in 32-bit floating point."""

    name: ClassVar[str] = "float32"
    label: ClassVar[str] = "float32"
    reference: ClassVar[str] = "https://docs.pytorch.org/docs/stable/tensor_attributes.html#torch-dtype"
    costs: ClassVar[str] = "4 bytes a parameter: twice the memory and traffic of the 16-bit formats."

    tf32: bool = Field(False, description="Round the inputs of matrix products to TF32 (10 fraction bits), which is much faster on a GPU")

    def unsupported_reason(
        self, device: Device, model: ModelSpec, workload: Workload, stack: Sequence[Technique]
    ) -> str | None:
        if self.tf32 and (device.kind != "cuda" or (device.capability or (8, 0)) < (8, 0)):
            return "TF32 is a number type of NVIDIA GPUs from compute capability 8.0 on; turn tf32 off, or choose such a GPU"
        return None

    def apply(self, session: Session) -> None:
        import torch

        torch.set_float32_matmul_precision("high" if self.tf32 else "highest")

    def evidence(self, session: Session) -> Evidence:
        """As of every precision, and the switch of the matrix products as the library itself has it."""
        import torch

        shown = super().evidence(session)
        on = bool(torch.backends.cuda.matmul.allow_tf32)
        other = None if on == self.tf32 else f"tf32 is {'on' if on else 'off'} in matrix products"
        return Evidence(shown.facts | {"tf32": on}, shown.problem or other)
