"""What a child process hands back: measurements (one metric at one point) and the run's outcome.

Plain data with a JSON form; no statistics here beyond the median that stands for the samples.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """Life of a run; the same words serve a single point where they apply."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    OUT_OF_MEMORY = "out_of_memory"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    UNSUPPORTED = "unsupported"
    NOT_MEASURED = "not measured"
    """Of a point only: its number cannot be had there, and a wrong one is not given."""

    @property
    def ended(self) -> bool:
        return self not in (Status.QUEUED, Status.RUNNING)

    @property
    def is_result(self) -> bool:
        """Statuses that answer the question asked: it ran, it did not fit, it cannot be done here."""
        return self in (Status.SUCCEEDED, Status.OUT_OF_MEMORY, Status.UNSUPPORTED)


Point = dict[str, int | float | str]


@dataclass(frozen=True)
class Measurement:
    """Run x metric x point, with raw samples in the metric's SI unit.

    `value` stands for the samples: their median, unless the metric defines another summary
    (perplexity is the exponential of a token-weighted mean). Warm-up samples are kept apart.
    """

    metric: str
    point: Point = field(default_factory=dict)
    samples: tuple[float, ...] = ()
    warmups: tuple[float, ...] = ()
    value: float | None = None
    status: Status = Status.SUCCEEDED
    reason: str | None = None

    def __post_init__(self) -> None:
        if self.value is None and self.samples:
            object.__setattr__(self, "value", statistics.median(self.samples))
        bad = [s for s in (*self.samples, *self.warmups, *([] if self.value is None else [self.value])) if not math.isfinite(s)]
        if bad:
            raise ValueError(f"{self.metric}: not a finite number: {bad[0]}")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Measurement:
        return cls(**{**data, "samples": tuple(data["samples"]), "warmups": tuple(data["warmups"]), "status": Status(data["status"])})


@dataclass(frozen=True)
class Evidence:
    """Proof that a technique took effect: facts read from the loaded model, and what contradicts them."""

    facts: dict[str, Any]
    problem: str | None = None


@dataclass(frozen=True)
class RunResult:
    """The outcome of one run as its executor reports it; always one per run, whatever the child did."""

    status: Status
    reason: str | None = None
    measurements: tuple[Measurement, ...] = ()
    evidence: dict[str, dict[str, Any]] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    host_peak_bytes: int | None = None
    log_tail: str = ""
