"""The Workload contract: what is done with a loaded model, and what is measured while doing it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict

from engine.modelspec import Head, ModelSpec

if TYPE_CHECKING:
    from engine.footprint import Load
    from engine.meter import Meter
    from engine.quality import QualityReference
    from engine.technique import Session
    from engine.training import Training


@dataclass(frozen=True)
class ProfiledStep:
    """What a profile looks at: `call` does one step, `what` says in words what that is. The step may name its parts with
    torch.profiler.record_function."""

    what: str
    call: Callable[[], Any]


_HEAD_TEXT = {
    Head.CAUSAL_LM: "a language model", Head.CLASSIFIER: "a classifier", Head.ENCODER: "an encoder", Head.NOTHING: "no model (none)",
}  # fmt: skip


def head_mismatch(wanted: Head, model: ModelSpec) -> str | None:
    """In words, where what is known of the model by its name contradicts what a workload wants; None where it fits."""
    from engine.catalogue import heads_of

    heads = heads_of(model)
    if heads is None or wanted in heads:
        return None
    return f"{model} is {_HEAD_TEXT[heads[0]]}, this workload needs {_HEAD_TEXT[wanted]}; choose another model"


class Workload(BaseModel):
    """Base of all workloads. Fields are the options and draw the form; methods act in the child process only."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str]
    label: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]]
    quality_metrics: ClassVar[tuple[str, ...]] = ()
    """The first one is the quality that stands beside every speed; the others say how like the baseline a variant is."""
    decides: ClassVar[tuple[str, ...]]
    """The metrics of the verdict table, the speed that is drawn upwards first."""
    head: ClassVar[Head] = Head.CAUSAL_LM
    generates: ClassVar[bool] = False
    """Whether it makes new tokens one by one, so that a KV cache has something to do."""
    pads: ClassVar[bool] = False
    """Whether sequences of different lengths share a batch, so that a mask decides what counts."""
    trains: ClassVar[bool] = False
    """Whether it changes the weights."""
    spreads: ClassVar[bool] = False
    """Whether a group of processes can share its work."""

    def unsuitable_model(self, model: ModelSpec) -> str | None:
        """Why this workload cannot use a model, in words that name the way out; None if it can, or only loading could tell."""
        return head_mismatch(self.head, model)

    def unusable_data(self, texts_dir: Path) -> str | None:
        """'field: reason' where the data that the options name are not on this machine, or not enough; None where they will do."""
        return None

    def positions_needed(self) -> int:
        """The longest sequence that the model will see, in tokens; checked before queueing where the model's limit is known."""
        return 0

    def loads(self) -> list[Load]:
        """Its points as the memory planner sees them; empty where no formula covers what it does."""
        return []

    def training(self, model: Any) -> Training | None:
        """How the loaded model is going to be trained, before techniques change it; None where the workload does not train."""
        return None

    def run(self, session: Session, meter: Meter) -> None:
        """Measure speed and memory; every number goes through `meter.record`, as soon as it exists."""
        raise NotImplementedError

    def profiled(self, session: Session) -> ProfiledStep | None:
        """One small step of what `run` measures, for a profile; None where there is none, and the run says so."""
        return None

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
