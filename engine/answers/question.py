"""What the advisor is asked: an objective and constraints, from text as people write it, checked. Knows no results."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from engine.metrics import METRICS

OBJECTIVES: dict[str, tuple[str, str | None]] = {
    "speed": ("Fastest, as its workload is judged", None),
    "decode": ("Fastest decode", "decode_tokens_per_second"),
    "ttft": ("Lowest time to first token", "ttft_seconds"),
    "training": ("Fastest training", "training_tokens_per_second"),
    "examples": ("Most examples per second", "examples_per_second"),
    "memory": ("Smallest memory", None),
    "quality": ("Highest quality", None),
}
"""{name: (label, metric)}. None: whatever speed or quality the workload is judged by, and the question's memory metric."""

MEMORY_METRICS = tuple(m.name for m in METRICS.values() if m.kind == "memory" and m.unit == "bytes")

_UNITS = {
    "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40,
}  # fmt: skip
_AMOUNT = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([A-Za-z%]*)", re.ASCII)


@dataclass(frozen=True)
class Question:
    """objective: a key of OBJECTIVES. None: no such constraint. Raises ValueError with the field and the fix.

    memory: the metric that the budget, and the objective "memory", are about. max_memory_bytes: what it may be at most.
    max_quality_loss: 0.01 = perplexity at most 1 % higher, or accuracy at most 1 % lower, than the baseline's.
    min_speed: in the unit of the throughput that the workload is judged by (tok/s, ex/s).
    point: (key, value) pairs that a point must have, as text. model: as it is named in an experiment. device: a part of its name.
    real_models: leave out shapes, whose weights are random, and kernels, which have no model.
    """

    objective: str = "decode"
    memory: str = "peak_memory_bytes"
    max_memory_bytes: float | None = None
    max_quality_loss: float | None = None
    min_speed: float | None = None
    point: tuple[tuple[str, str], ...] = ()
    model: str | None = None
    device: str | None = None
    real_models: bool = False

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise ValueError(f"objective: {self.objective!r} is not one of {', '.join(OBJECTIVES)}")
        if self.memory not in MEMORY_METRICS:
            raise ValueError(f"memory: {self.memory!r} is no memory metric; choose one of {', '.join(MEMORY_METRICS)}")
        for field, value in (("max-memory", self.max_memory_bytes), ("min-speed", self.min_speed)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{field}: {value} is not above 0; leave it out for no limit")
        if self.max_quality_loss is not None and not (math.isfinite(self.max_quality_loss) and self.max_quality_loss >= 0):
            raise ValueError(f"max-quality-loss: {self.max_quality_loss} is below 0; 0% asks for no loss at all")


def bytes_of(text: str) -> float:
    """'24GB' -> 24e9, '24 GiB' -> 24 x 2^30. Raises ValueError."""
    number, unit = _amount("max-memory", text, "24GB or 24GiB")
    if unit.upper() not in _UNITS:
        raise ValueError(f"max-memory: {text[:80]!r} has no unit of bytes; write 24GB (24 x 10^9) or 24GiB (24 x 2^30)")
    return number * _UNITS[unit.upper()]


def fraction_of(text: str) -> float:
    """'1%' -> 0.01. The sign is asked for: a bare 1 could be one percent or all of it. Raises ValueError."""
    number, unit = _amount("max-quality-loss", text, "1%")
    if unit != "%":
        raise ValueError(f"max-quality-loss: {text[:80]!r} has no percent sign; write {number:g}%")
    return number / 100


def point_of(text: str) -> tuple[tuple[str, str], ...]:
    """'batch=8, new_tokens=24' -> its pairs. Raises ValueError."""
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    if not pairs or any(not (key.strip() and sign and value.strip()) for key, sign, value in pairs):
        raise ValueError(f"point: {text[:80]!r} is not of the form batch=8,new_tokens=24")
    return tuple((key.strip(), value.strip()) for key, _, value in pairs)


def fits(point: Mapping[str, object], wanted: tuple[tuple[str, str], ...]) -> bool:
    """Whether a point has every pair that is asked for."""
    return all(key in point and str(point[key]) == value for key, value in wanted)


def _amount(field: str, text: str, example: str) -> tuple[float, str]:
    found = _AMOUNT.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{field}: {text[:80]!r} is not an amount; write {example}")
    return float(found[1]), found[2]
