"""The Technique contract: one optimization with typed options.

A technique is a frozen pydantic model. Its fields are the options and draw the form; its class variables are the
catalogue card; its methods act in the child process only, where torch may be imported (inside the methods).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from pydantic import BaseModel, ConfigDict

from engine.devices import Device
from engine.environments import CORE, ENVIRONMENTS
from engine.measurement import Evidence

if TYPE_CHECKING:
    from engine.footprint import Footprint
    from engine.modelspec import Head, ModelSpec
    from engine.training import Training
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
class Checkpoint:
    """Weights on disk or on the hub, as a Loader gets them.

    where, options: what from_pretrained needs to read exactly these. identity: equal for equal weights. artifacts: folder
    for what is made once from them and kept.
    """

    where: str
    options: dict[str, Any]
    identity: str
    head: Head
    device: Device
    artifacts: Path


class Loader(Protocol):
    """Loads the model in place of transformers' from_pretrained, for runtimes that have their own format."""

    def build(self, checkpoint: Checkpoint) -> None:
        """Make the files that loading needs, where they are not there yet. Called before anything is timed."""

    def load(self, checkpoint: Checkpoint) -> Any:
        """The model, ready for calls on the device; builds first where that has not been done."""

    def weight_bytes(self, model: Any) -> int:
        """Bytes of all weights of a model that it loaded."""


@dataclass(frozen=True)
class ModelPlan:
    """How the weights are going to be loaded. Techniques return changed copies before anything is loaded.

    dtype: torch dtype name of the unquantized tensors. quantization: a transformers quantization config or None.
    loader: what loads the model; None for transformers. stored_quantization: the method that the checkpoint must have been
    quantized with before, where a technique loads packed weights as they are.
    """

    dtype: str
    quantization: Any = None
    load_options: dict[str, Any] = field(default_factory=dict)
    loader: Loader | None = None
    stored_quantization: str | None = None

    def evolve(self, **changes: Any) -> ModelPlan:
        return replace(self, **changes)


@dataclass(frozen=True)
class CacheSource:
    """Where a generation gets its KV cache from, in place of the one that transformers would make.

    new: (sequences, positions) -> an empty transformers Cache with room for them. lossy_steps: empty where it keeps keys and values
    exactly; else what the model says changes, so that quality is measured through it: as many tokens can be fed at once, in turn and
    over again, and all is as if they had come one by one.
    """

    new: Callable[[int, int], Any]
    lossy_steps: tuple[int, ...] = ()


def _alone(value: Any) -> list[Any]:
    return [value]


@dataclass(frozen=True)
class Ranks:
    """This process among those that share the run; alone where there are no others.

    gather: every rank's value, in order. All ranks must call it equally often: nobody returns before all have come.
    """

    rank: int = 0
    count: int = 1
    gather: Callable[[Any], list[Any]] = _alone


@dataclass
class Session:
    """A loaded model in the child process. Techniques and workloads act on it in place.

    model, tokenizer: None where the workload loads none. generate_options: set by techniques, for every generation.
    cache: set where a technique makes the KV cache. compile_seconds: set where the model is compiled on the way: the
    seconds that this has taken so far; read after the workload, and recorded apart from its times.
    attention: (length, device, causal) -> function of q, k, v, for a workload that calls attention itself; None: the plain formula.
    workload: what will be done with it, for techniques and evidence that depend on it.
    training: how it is trained, where the workload trains; None elsewhere.
    ranks: this process among those that share the run.
    """

    model: Any
    tokenizer: Any
    device: Device
    plan: ModelPlan
    spec: ModelSpec
    seed: int
    texts_dir: Path
    generate_options: dict[str, Any] = field(default_factory=dict)
    cache: CacheSource | None = None
    compile_seconds: Callable[[], float] | None = None
    attention: Callable[[int, str, bool], Callable[[Any, Any, Any], Any]] | None = None
    workload: Workload | None = None
    training: Training | None = None
    ranks: Ranks = field(default_factory=Ranks)

    @property
    def torch_device(self) -> str:
        return "cuda" if self.device.kind == "cuda" else "cpu"

    def call_options(self, sequences: int, positions: int) -> dict[str, Any]:
        """Options of one `model.generate` call that ends with so many positions, prompts included: each gets an empty cache."""
        return self.generate_options | ({"past_key_values": self.cache.new(sequences, positions)} if self.cache else {})


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
    environment: ClassVar[str] = CORE
    """The interpreter that the run's process gets: the core one, or a layered one (engine/environments.py)."""
    requires: ClassVar[tuple[str, ...]] = ()
    needs_model: ClassVar[bool] = True
    """False where it also acts on a workload that loads no model."""
    phase: ClassVar[Literal["any", "inference", "training"]] = "any"
    """The workloads that it has an effect on."""
    freezes_weights: ClassVar[bool] = False
    """Whether its weights cannot take gradients: training then needs an adapter beside them."""
    own_gpu_memory: ClassVar[bool] = False
    """True where its runtime takes GPU memory past PyTorch's allocator, so that the allocator's peaks would be too low."""

    @classmethod
    def missing_packages(cls) -> str | None:
        """Reason in words if this machine lacks a package that the technique imports, else None. Imports nothing."""
        if cls.environment != CORE:
            return ENVIRONMENTS[cls.environment].missing(cls.requires)
        missing = [p for p in cls.requires if importlib.util.find_spec(p) is None]
        return f"needs {' and '.join(missing)}: pip install {' '.join(missing)}" if missing else None

    def unsupported_reason(
        self, device: Device, model: ModelSpec, workload: Workload, stack: Sequence[Technique]
    ) -> str | None:
        """Why this cannot run there, in words that name the way out; None if it can. Must not import torch."""
        return None

    def processes_on(self, device: Device) -> int | None:
        """How many processes of one group a run on this device is spread over; None where it needs no group."""
        return None

    def prepare(self, plan: ModelPlan) -> ModelPlan:
        """Before the weights are loaded."""
        return plan

    def footprint(self, held: Footprint) -> Footprint:
        """What changes in the bytes that a run holds, for the memory planner. Must not import torch."""
        return held.evolve(unknown=f"{self.name} has no memory formula")

    def apply(self, session: Session) -> None:
        """After the weights are loaded."""

    def evidence(self, session: Session) -> Evidence:
        """Facts read from the loaded model that prove the effect; `problem` set if they contradict it."""
        raise NotImplementedError(f"{type(self).__name__} must prove its effect")


def ordered_stack(techniques: Sequence[Technique]) -> tuple[Technique, ...]:
    """The stack in order of application. Raises ValueError if two techniques claim one slot, or need two interpreters."""
    taken: dict[Slot, Technique] = {}
    for technique in techniques:
        if (other := taken.get(technique.slot)) is not None:
            raise ValueError(
                f"stack: {other.name} and {technique.name} both set the {technique.slot.value!r} slot; keep one of them"
            )
        taken[technique.slot] = technique
    environment_of(techniques)
    return tuple(sorted(techniques, key=lambda t: SLOT_ORDER[t.slot]))


def environment_of(stack: Sequence[Technique]) -> str:
    """The environment that a stack runs in. Raises ValueError if its techniques need two: a process has one interpreter."""
    layered = {t.environment: t for t in stack if t.environment != CORE}
    if len(layered) > 1:
        a, b = list(layered.values())[:2]
        raise ValueError(
            f"stack: {a.name} runs in the {a.environment} environment and {b.name} in the {b.environment} environment; keep one of them"
        )
    return next(iter(layered), CORE)


def processes_of(stack: Sequence[Technique], device: Device) -> int | None:
    """How many processes of one group a run of this stack needs on this device; None for one that is in no group."""
    return next((count for t in stack if (count := t.processes_on(device)) is not None), None)


def unsupported_stack(
    stack: Sequence[Technique], device: Device, model: ModelSpec, workload: Workload
) -> str | None:
    """The first reason why this stack cannot run on this machine's device, or None."""
    for technique in stack:
        reason = _contradiction(technique, stack, model, workload) or technique.missing_packages()
        if reason := reason or technique.unsupported_reason(device, model, workload, stack):
            return f"{technique.name}: {reason}"
    return None


def impossible_stack(stack: Sequence[Technique], device: Device, model: ModelSpec, workload: Workload) -> str | None:
    """As `unsupported_stack`, on some other machine that has all packages."""
    for technique in stack:
        if reason := impossible(technique, stack, device, model, workload):
            return f"{technique.name}: {reason}"
    return None


def impossible(technique: Technique, stack: Sequence[Technique], device: Device, model: ModelSpec, workload: Workload) -> str | None:
    """Why this one technique of a stack cannot be there, whatever is installed; None if it can."""
    return _contradiction(technique, stack, model, workload) or technique.unsupported_reason(device, model, workload, stack)


def _contradiction(technique: Technique, stack: Sequence[Technique], model: ModelSpec, workload: Workload) -> str | None:
    """Why a technique makes no sense with this model and workload, on whatever machine."""
    if technique.needs_model and model.source == "none":
        return "it changes a model, and there is none here; take it out of the stack"
    if technique.phase not in ("any", "training" if workload.trains else "inference"):
        return f"it has no effect on the workload {workload.name}, it is for {technique.phase}; take it out of the stack"
    if workload.trains and technique.freezes_weights and not any(t.slot is Slot.ADAPTER for t in stack):
        return "its weights take no gradients; add an adapter, lora for example, that is trained in their place"
    return None
