"""The Workload contract: what is done with a loaded model, and what is measured while doing it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

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

    def positions_needed(self) -> int:
        """The longest sequence that the model will see, in tokens; checked before queueing where the model's limit is known."""
        return 0

    def run(self, session: Session, meter: Meter) -> None:
        """Measure speed and memory; every number goes through `meter.record`, as soon as it exists."""
        raise NotImplementedError

    def measures_quality(self) -> bool:
        """Whether these options ask for a quality run (one per variant)."""
        return False

    def quality_protocol(self, texts_dir: Path) -> dict[str, Any]:
        """All that must be equal for two quality numbers to be comparable: text and its hash, tokens, context."""
        raise NotImplementedError

    def write_quality_reference(self, session: Session, reference: QualityReference) -> None:
        """Leave the baseline's outputs in the reference, without measuring."""
        raise NotImplementedError

    def measure_quality(self, session: Session, meter: Meter, reference: QualityReference) -> None:
        """Measure quality and fidelity of the very model that `run` would time."""
        raise NotImplementedError
