"""Automatic mixed precision in float16, with the loss scaled so that small gradients do not become zero."""

from __future__ import annotations

from typing import ClassVar

from engine.measurement import Evidence
from engine.technique import Session
from experiments.precision.amp import MixedPrecision


class AmpFloat16(MixedPrecision):
    """Training with float32 weights, float16 matrix products (autocast) and a scaled loss (GradScaler)."""

    name: ClassVar[str] = "amp_float16"
    label: ClassVar[str] = "Mixed precision, float16"
    costs: ClassVar[str] = (
        "Weights, gradients and optimizer state stay float32. Steps whose gradients overflow are skipped and counted. "
        "CPUs without float16 arithmetic emulate it."
    )
    dtype: ClassVar[str] = "float16"

    def apply(self, session: Session) -> None:
        import torch

        super().apply(session)
        assert session.training is not None
        session.training.scaler = torch.amp.GradScaler(session.torch_device)

    def evidence(self, session: Session) -> Evidence:
        shown = super().evidence(session)
        scaler = None if session.training is None else session.training.scaler
        facts = shown.facts | {"loss_scale": None if scaler is None else scaler.get_scale()}
        scaled = scaler is not None and scaler.is_enabled()
        return Evidence(facts, shown.problem or (None if scaled else "the loss is not scaled"))
