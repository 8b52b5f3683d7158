"""The Workload contract: what is done with a loaded model, and what is measured while doing it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from engine.meter import Meter
    from engine.quality import QualityReference
    from engine.technique import Session


class Workload(BaseModel):
    """Base of all workloads. Fields are the options and draw the form; methods act in the child process only."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str]
    label: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]]
    quality_metrics: ClassVar[tuple[str, ...]] = ()

    def run(self, session: Session, meter: Meter) -> None:
        """Measure speed and memory; every number goes through `meter.record`, as soon as it exists."""
        raise NotImplementedError

    def measures_quality(self) -> bool:
        """Whether these options ask for a quality run (one per variant)."""
        return False

    def measure_quality(self, session: Session, meter: Meter, reference: QualityReference) -> None:
        """Measure quality and fidelity of the very model that `run` would time."""
        raise NotImplementedError
