"""A question to the memory planner as a command line, a form or an address asks it, and the whole answer as one document.

The answer is the contract of `python -m engine plan --json`; the page shows the same. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from engine.catalogue import SHAPES
from engine.devices import Device
from engine.footprint import Footprint, Load
from engine.modelspec import ModelSpec
from engine.planning import gpus
from engine.planning.architecture import Architecture, architecture
from engine.planning.planner import Plan, footprint, plan_of, weight_bytes
from engine.registry import discover, readable
from engine.specs import TechniqueSpec, VariantSpec, default_name
from engine.technique import Technique, impossible_stack
from engine.workload import Workload

WORKLOADS = ("generation", "training_step", "encoder_forward")
_MOST = 2**20
"""Sequences, or tokens, beyond which no larger ones are looked for."""
SCALE_STACKS = {
    "llm_int8": ("float16", "bnb_int8"), "nf4": ("float16", "bnb_4bit"),
}  # fmt: skip
CHAPTER_MODELS = {"GPT-2 small": 124_439_808, "BERT large": 335_141_888, "GPT-3": 175 * 10**9, "GPT-4 (an estimate)": 1_800 * 10**9}
"""Parameters of models of the chapter's table that are no shapes here; those of GPT-3 and GPT-4 as they are told, rounded."""


class PlanRequest(BaseModel):
    """length: tokens of a prompt, of a training sequence, or that an encoder reads."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: ModelSpec
    techniques: tuple[TechniqueSpec, ...] = ()
    workload: Literal["generation", "training_step", "encoder_forward"] = "generation"
    batch: int = Field(1, ge=1, le=4096, description="Sequences at once, over all GPUs")
    length: int = Field(512, ge=2, le=131_072, description="Tokens of a prompt or a training sequence")
    new_tokens: int = Field(128, ge=2, le=65_536, description="Tokens that are generated")
    accumulation: int = Field(1, ge=1, le=1024, description="Micro-batches of an optimizer step")
    gpus: int = Field(1, ge=1, le=64, description="GPUs that share a training")
    parallelism: Literal["ddp", "fsdp"] | None = None
    memory: str = Field("H100", max_length=40, description="A GPU by name, or a size such as 24GiB")

    @model_validator(mode="after")
    def _checked(self) -> PlanRequest:
        if self.parallelism is None and self.gpus > 1:
            raise ValueError(f"gpus: {self.gpus} GPUs share a training by ddp or fsdp; name one of them as parallelism")
        gpus.memory(self.memory)
        return self

    @property
    def stack(self) -> VariantSpec:
        """Raises ValueError where two techniques want one slot."""
        shared = (TechniqueSpec(technique=self.parallelism, options={"processes": self.gpus}),) if self.parallelism else ()
        return VariantSpec(stack=(*self.techniques, *shared))

    @property
    def workload_options(self) -> dict[str, Any]:
        """Of the workload that measures this very point."""
        if self.workload == "generation":
            return {"batch_sizes": [self.batch], "prompt_tokens": self.length, "new_tokens": [self.new_tokens]}
        if self.workload == "training_step":
            return {"batch_sizes": [self.batch], "seq_len": self.length, "accumulation": self.accumulation}
        return {"batch_sizes": [self.batch], "sequence_lengths": [self.length]}


def request(**given: Any) -> PlanRequest:
    """Raises ValueError with one line per field."""
    try:
        return PlanRequest.model_validate(given)
    except ValidationError as error:
        raise ValueError(readable(error)) from None


def answer(asked: PlanRequest) -> dict[str, Any]:
    """The plan as JSON data, bytes as whole numbers. Raises ValueError naming the field where the question makes no sense."""
    try:
        stack = asked.stack
    except ValidationError as error:
        raise ValueError(readable(error)) from None
    techniques, workload = stack.build(), discover().workload(asked.workload, asked.workload_options)
    memory = gpus.memory(asked.memory)
    if reason := workload.unsuitable_model(asked.model):
        raise ValueError(f"model: {reason}")
    model = architecture(asked.model)
    held, load = footprint(model, techniques), workload.loads()[0]
    _check(asked, techniques, workload, memory)
    if load.length + load.new > model.positions:
        raise ValueError(f"length: {load.length + load.new} tokens are more than the {model.positions} positions of {asked.model}; ask for fewer")
    found = plan_of(model, held, load, asked.gpus)
    return {
        "model": str(asked.model), "parameters": model.parameters, "stack": [t.model_dump(mode="json") for t in stack.stack],
        "variant": default_name(stack.stack), "workload": asked.workload, "point": load.point, "gpus": asked.gpus,
        "components": {f"{name}_bytes": value for name, value in asdict(found.components).items()},
        "moment": found.moment, "peak_memory_bytes": found.peak_memory_bytes, "needed_bytes": found.needed_bytes,
        "gpu": {"name": memory.name, "total_bytes": memory.total_bytes, "usable_bytes": memory.usable_bytes},
        "verdict": verdict(found, memory.usable_bytes), **_largest(model, held, load, asked.gpus, memory.usable_bytes), "scale": scale(asked.model),
    }  # fmt: skip


def verdict(found: Plan, usable: int) -> Literal["fits", "may not fit", "does not fit"]:
    """By the peak, and by the margin for what an allocator loses above it."""
    return "fits" if found.needed_bytes <= usable else "may not fit" if found.peak_memory_bytes <= usable else "does not fit"


def scale(model: ModelSpec | None = None) -> list[dict[str, Any]]:
    """The chapter's table: bytes of the weights alone by precision, as parameters x bits ("ideal") and as methods really store them, with
    what AdamW training takes in float32 (16 bytes a parameter: weights, gradients, two moments); null where no config is known."""
    named = {shape.label: ModelSpec(source="shape", name=name) for name, shape in SHAPES.items() if name != "tiny-llama"}
    models = ({str(model): model} if model is not None and model not in named.values() else {}) | named
    rows = [_scale_row(label, architecture(known).parameters, architecture(known)) for label, known in models.items()]
    rows += [_scale_row(label, parameters, None) for label, parameters in CHAPTER_MODELS.items() if label != "GPT-2 small"]
    return sorted(rows, key=lambda row: row["parameters"])


def _scale_row(label: str, parameters: int, model: Architecture | None) -> dict[str, Any]:
    ideal = {f"ideal_{bits}_bit_bytes": parameters * bits // 8 for bits in (32, 16, 8, 4)}
    stored = {f"{name}_stored_bytes": None if model is None else _stored(model, stack) for name, stack in SCALE_STACKS.items()}
    return {"model": label, "parameters": parameters, **ideal, **stored, "adamw_float32_training_bytes": 16 * parameters}


def _stored(model: Architecture, stack: tuple[str, ...]) -> int:
    return weight_bytes(model, footprint(model, [discover().technique(name) for name in stack]))


def _check(asked: PlanRequest, techniques: Sequence[Technique], workload: Workload, memory: gpus.Memory) -> None:
    """Whether the stack makes sense on a recent GPU."""
    members = tuple(f"cuda:{i}" for i in range(asked.gpus)) if asked.gpus > 1 else ()
    device = Device("cuda:0", "cuda", memory.name, "planned", memory.total_bytes, (9, 0), members=members)
    if reason := impossible_stack(techniques, device, asked.model, workload):
        raise ValueError(f"technique: {reason}")


def _largest(model: Architecture, held: Footprint, load: Load, ranks: int, usable: int) -> dict[str, int]:
    """0 where not even the smallest fits. Of tokens no more than the model has positions."""

    def fits(changed: Load) -> bool:
        return plan_of(model, held, changed, ranks).needed_bytes <= usable

    batch = ranks * _most(lambda n: fits(replace(load, batch=n * ranks)), _MOST // ranks)
    return {"largest_batch": batch, "largest_length": _most(lambda n: fits(replace(load, length=n)), max(model.positions - load.new, 1))}


def _most(fits: Callable[[int], bool], limit: int) -> int:
    """The largest number from 1 to the limit that fits, 0 if none does; what fits goes on fitting when it is made smaller."""
    low, high = 0, limit + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
