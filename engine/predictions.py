"""Quality of predictions on labelled examples, and their agreement with the baseline's. Called in the child only; measures no time."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from engine.measurement import Point
from engine.meter import Meter
from engine.quality import QualityReference, baseline_outputs


def record_accuracy(meter: Meter, metric: str, predicted: torch.Tensor, labels: Sequence[int], point: Point) -> None:
    """Samples are the examples, right (1) or wrong (0): the verdict pairs them with the baseline's."""
    right = (predicted.cpu() == torch.tensor(labels)).double()
    meter.record(metric, right.tolist(), point, value=right.mean().item())


def record_agreement(meter: Meter, scores: torch.Tensor, reference: QualityReference, point: Point) -> None:
    """scores (examples, choices): the highest is the answer. The baseline leaves its own behind."""
    base = baseline_outputs(reference, scores, meter, "prediction_agreement", point)
    if base is not None:
        same = (base.argmax(-1) == scores.cpu().argmax(-1)).double()
        meter.record("prediction_agreement", same.tolist(), point, value=same.mean().item())


def record_f1(meter: Meter, predicted: torch.Tensor, labels: Sequence[int], point: Point) -> None:
    """F1 of label 1; 0 where it was neither predicted nor present, as scikit-learn has it.

    Samples are the examples: 1 for a label 1 that was found, 0 for one that was missed or wrongly predicted, -1 for the rest,
    which have no part in F1.
    """
    pairs = zip(predicted.tolist(), labels, strict=True)
    samples = [1.0 if p == y == 1 else 0.0 if 1 in (p, y) else -1.0 for p, y in pairs]
    found, wrong = samples.count(1.0), samples.count(0.0)
    meter.record("f1", samples, point, value=2 * found / (2 * found + wrong) if found else 0.0)


def finite(scores: torch.Tensor, what: str) -> torch.Tensor:
    """The same scores; ValueError if some are not numbers, because argmax would pick a class all the same."""
    if not torch.isfinite(scores).all():
        raise ValueError(f"{what}: the model's outputs are not numbers")
    return scores
