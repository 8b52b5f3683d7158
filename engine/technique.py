"""The Technique contract: one optimization with typed options.

A technique is a frozen pydantic model. Its fields are the options and draw the form; its class variables are the
catalogue card; its methods act in the child process only, where torch may be imported (inside the methods).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict

from engine.devices import Device
from engine.measurement import Evidence

if TYPE_CHECKING:
    from engine.modelspec import ModelSpec
    from engine.workload import Workload


class Slot(StrEnum):
    """What a technique takes hold of. At most one technique per slot; the order here is the order of application."""

    PRECISION = "precision"
    WEIGHTS = "weights"
    ATTENTION = "attention"
    KV_CACHE = "kv_cache"
    ADAPTER = "adapter"
    ACTIVATIONS = "activations"
    OPTIMIZER = "optimizer"
    PARALLELISM = "parallelism"
    RUNTIME = "runtime"


SLOT_ORDER = {slot: position for position, slot in enumerate(Slot)}


@dataclass(frozen=True)
class ModelPlan:
    """How the weights are going to be loaded. Techniques return changed copies before anything is loaded.

    dtype: torch dtype name of the unquantized tensors. quantization: a transformers quantization config or None.
    """

    dtype: str
    quantization: Any = None
    load_options: dict[str, Any] = field(default_factory=dict)

    def evolve(self, **changes: Any) -> ModelPlan:
        return replace(self, **changes)


@dataclass
class Session:
    """A loaded model in the child process. Techniques and workloads act on it in place.

    model, tokenizer: None where the workload loads none. generate_options are passed to every `model.generate` call.
    """

    model: Any
    tokenizer: Any
    device: Device
    plan: ModelPlan
    spec: ModelSpec
    seed: int
    texts_dir: Path
    generate_options: dict[str, Any] = field(default_factory=dict)

    @property
    def torch_device(self) -> str:
        return "cuda" if self.device.kind == "cuda" else "cpu"


class UnsupportedHereError(Exception):
    """Raised by `apply` where only trying could tell that a model is not supported; the text is the run's reason."""


class Technique(BaseModel):
    """Base of all techniques. The docstring's first line is the text that people read on the card."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str]
    label: ClassVar[str]
    family: ClassVar[str]
    slot: ClassVar[Slot]
    reference: ClassVar[str]
    costs: ClassVar[str]
    environment: ClassVar[str] = "core"
    requires: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def missing_packages(cls) -> str | None:
        """Reason in words if this machine lacks a package that the technique imports, else None."""
        missing = [p for p in cls.requires if importlib.util.find_spec(p) is None]
        return f"needs {' and '.join(missing)}: pip install {' '.join(missing)}" if missing else None

    def unsupported_reason(
        self, device: Device, model: ModelSpec, workload: Workload, stack: Sequence[Technique]
    ) -> str | None:
        """Why this cannot run there, in words that name the way out; None if it can. Must not import torch."""
        return None

    def prepare(self, plan: ModelPlan) -> ModelPlan:
        """Before the weights are loaded."""
        return plan

    def apply(self, session: Session) -> None:
        """After the weights are loaded."""

    def evidence(self, session: Session) -> Evidence:
        """Facts read from the loaded model that prove the effect; `problem` set if they contradict it."""
        raise NotImplementedError(f"{type(self).__name__} must prove its effect")


def ordered_stack(techniques: Sequence[Technique]) -> tuple[Technique, ...]:
    """The stack in order of application. Raises ValueError if two techniques claim one slot."""
    taken: dict[Slot, Technique] = {}
    for technique in techniques:
        if (other := taken.get(technique.slot)) is not None:
            raise ValueError(
                f"stack: {other.name} and {technique.name} both set the {technique.slot.value!r} slot; keep one of them"
            )
        taken[technique.slot] = technique
    return tuple(sorted(techniques, key=lambda t: SLOT_ORDER[t.slot]))


def unsupported_stack(
    stack: Sequence[Technique], device: Device, model: ModelSpec, workload: Workload
) -> str | None:
    """The first reason why this stack cannot run on this machine's device, or None."""
    for technique in stack:
        reason = technique.missing_packages() or technique.unsupported_reason(device, model, workload, stack)
        if reason:
            return f"{technique.name}: {reason}"
    return None
