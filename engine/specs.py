"""What the user asks for: an experiment as data, checked, and expanded into runs.

Crosses every boundary (form, YAML file, JSON in the database, bundle), so it is pydantic with unknown keys refused.
"""

from __future__ import annotations

import itertools
import json
import math
import secrets
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from engine.modelspec import ModelSpec
from engine.registry import discover
from engine.technique import Technique, ordered_stack
from engine.workload import Workload

MAX_RUNS = 2000
CONTROL_ROUNDS = 5
LOOK_EVERY = 5
_LONGEST_TECHNIQUE = 1_000


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TechniqueSpec(_Spec):
    """A technique by name with its options; as text `name` or `name(option=value, ...)`, as `default_name` writes it."""

    technique: str
    options: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: Any) -> Any:
        return _technique_of(data) if isinstance(data, str) else data

    def build(self) -> Technique:
        return discover().technique(self.technique, self.options)


def _technique_of(text: str) -> dict[str, Any]:
    name, opened, rest = text.strip().partition("(")
    if not opened:
        return {"technique": name}
    if len(text) > _LONGEST_TECHNIQUE:
        raise ValueError(f"{text[:40]!r}… is no technique; it has {len(text)} characters, at most {_LONGEST_TECHNIQUE} are read")
    if "&" in rest or "*" in rest:  # names of parts, by which a line of text can stand for gigabytes
        raise ValueError(f"{text!r} is no technique; options have neither & nor *")
    try:  # all of it text at first: YAML would take the option "off" for false
        options = yaml.load("{" + rest.removesuffix(")").replace("=", ": ") + "}", yaml.BaseLoader) if rest.endswith(")") else None
    except (yaml.YAMLError, RecursionError):
        options = None
    if not isinstance(options, dict) or "" in options.values():
        raise ValueError(f"{text!r} is no technique; write name or name(option=value, other=value)")
    return {"technique": name, "options": {key: _option(value) for key, value in options.items()}}


def _option(value: Any) -> Any:
    """A number, true or false where the text is one."""
    if isinstance(value, list):
        return [_option(v) for v in value]
    try:
        return json.loads(value.lower() if value in ("True", "False") else value) if isinstance(value, str) else value
    except ValueError:
        return value


class VariantSpec(_Spec):
    """One stack of techniques under a name that people read. The empty stack is the model as it is stored."""

    name: str = Field("", max_length=120)
    stack: tuple[TechniqueSpec, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _named(cls, data: Any) -> Any:
        if isinstance(data, str):
            data = {"stack": [data]}
        return data

    @model_validator(mode="after")
    def _checked(self) -> VariantSpec:
        ordered_stack(self.build())
        if not self.name:
            object.__setattr__(self, "name", default_name(self.stack)[:120])
        return self

    def build(self) -> tuple[Technique, ...]:
        """The techniques in order of application."""
        return ordered_stack([t.build() for t in self.stack])


class WorkloadSpec(_Spec):
    name: str = "generation"
    options: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: Any) -> Any:
        return {"name": data} if isinstance(data, str) else data

    @model_validator(mode="after")
    def _checked(self) -> WorkloadSpec:
        self.build()
        return self

    def build(self) -> Workload:
        return discover().workload(self.name, self.options)


class ExperimentSpec(_Spec):
    """Model x workload x variants x rounds, always with a baseline.

    `variants` are listed; `grid` adds the product of its axes (each axis a list of techniques, null for none).
    `baseline` names a variant; without it the model as stored (empty stack) is added and is the baseline. `control` adds a last
    variant, the baseline once more: what differs between the two is no effect of a technique.
    """

    title: str = Field(min_length=1, max_length=200)
    model: ModelSpec
    device: str = Field("cpu", min_length=1, max_length=200, description="cpu, cuda, or one named device")
    rounds: int = Field(5, ge=1, le=50, description="Rounds over all variants; at least 3 for a verdict")
    baseline: str | None = Field(None, min_length=1)
    workload: WorkloadSpec = WorkloadSpec()
    variants: tuple[VariantSpec, ...] = ()
    grid: tuple[tuple[TechniqueSpec | None, ...], ...] = ()
    seed: int = Field(0, ge=0, le=2**31 - 1)
    threads: int | None = Field(None, ge=1, le=1024, description="CPU threads of a run; all usable cores if empty")
    timeout_seconds: int = Field(3600, ge=1, le=86_400, description="Time limit of one run")
    profile: bool = Field(False, description="Also profile a few steps of each variant, in a run of its own")
    control: bool = Field(False, description="Also measure the baseline a second time in every round, as a check of the measurement")
    stop_early: bool = Field(False, description="Look after every 5 rounds, and end where every deciding speed has an answer")

    @model_validator(mode="after")
    def _checked(self) -> ExperimentSpec:
        if math.prod(map(len, self.grid)) > MAX_RUNS:  # before the product is made: ten axes of ten would fill the memory
            raise ValueError(f"grid: {math.prod(map(len, self.grid))} variants are more than {MAX_RUNS} runs; use fewer or shorter axes")
        variants = list(self.variants) + list(_product(self.grid))
        if self.baseline is None and not any(not v.stack for v in variants):
            variants.insert(0, VariantSpec(name="baseline"))
        names = [v.name for v in variants]
        for field, text in (("title", self.title), *(("variants", n) for n in names)):
            if any(unicodedata.category(c) in ("Cc", "Cs") for c in text):
                raise ValueError(f"{field}: {text!r} has control characters; leave them out")
        if twice := sorted({n for n in names if names.count(n) > 1}):
            raise ValueError(f"variants: the name {twice[0]!r} is used twice; give each variant its own name")
        baseline = self.baseline or next(v.name for v in variants if not v.stack)
        if baseline not in names:
            raise ValueError(f"baseline: there is no variant {baseline!r}; the variants are {', '.join(names)}")
        variants.sort(key=lambda v: v.name != baseline)
        if self.control:
            _add_control(variants, self.rounds)
        if self.stop_early and self.rounds <= LOOK_EVERY:
            raise ValueError(f"stop_early: the first look is after round {LOOK_EVERY}; ask for more than {LOOK_EVERY} rounds, or leave it out")
        runs = len(variants) * (self.rounds + 1 + self.profile)
        if runs > MAX_RUNS:
            raise ValueError(f"variants: {len(variants)} variants x {self.rounds} rounds is more than {MAX_RUNS} runs; ask for fewer")
        for field, value in (("variants", tuple(variants)), ("grid", ()), ("baseline", baseline)):
            object.__setattr__(self, field, value)
        return self


def control_name(baseline: str) -> str:
    """The name of the A/A control of a baseline of that name."""
    return f"{baseline[:113]}, again"  # within what a variant's name may have


def _add_control(variants: list[VariantSpec], rounds: int) -> None:
    """The baseline, which is first, once more and last: a drift has the longest way between the two. One that is there already is kept."""
    if rounds < CONTROL_ROUNDS:
        raise ValueError(f"control: it needs at least {CONTROL_ROUNDS} rounds, there are {rounds}; ask for more rounds, or leave it out")
    name, stack = control_name(variants[0].name), variants[0].stack
    there = next((v for v in variants if v.name == name), None)
    if there is not None and there.stack != stack:
        raise ValueError(f"control: it is a variant named {name!r}, and another one has that name; rename it")
    variants[:] = [*(v for v in variants if v is not there), there or VariantSpec(name=name, stack=stack)]


def looks(rounds: int) -> tuple[int, ...]:
    """The numbers of rounds after which an experiment that may stop early is looked at: 5, 10, ... and the last one."""
    return (*range(LOOK_EVERY, rounds, LOOK_EVERY), rounds)


def _product(grid: tuple[tuple[TechniqueSpec | None, ...], ...]) -> Iterator[VariantSpec]:
    for choice in itertools.product(*grid) if grid else ():
        yield VariantSpec(stack=tuple(t for t in choice if t is not None))


def default_name(stack: tuple[TechniqueSpec, ...]) -> str:
    """'bfloat16 + bnb_4bit(quant_type=fp4)'; the empty stack is 'baseline'."""
    parts = [
        t.technique + (f"({', '.join(f'{k}={v}' for k, v in sorted(t.options.items()))})" if t.options else "") for t in stack
    ]
    return " + ".join(parts) or "baseline"


class RunKind(StrEnum):
    """A speed run measures time and memory, once per round. A quality run, and a profile where asked for, are made once per variant."""

    SPEED = "speed"
    QUALITY = "quality"
    PROFILE = "profile"


@dataclass(frozen=True)
class PlannedRun:
    variant: int
    round: int
    kind: RunKind


def forwards(round_: int) -> bool:
    """Whether a round goes through the variants in their order: A B C, A B C, C B A, C B A, and so on.

    As many rounds one way as the other cancel a steady drift. Each way twice, because where every round is followed by its mirror
    image a drift that wanders makes neighbouring rounds alike: their intervals were too narrow (experiments/LOG.md).
    """
    return round_ % 4 < 2


def expand(spec: ExperimentSpec) -> list[PlannedRun]:
    """All runs in the order of execution.

    Rounds interleave the variants, in the directions of `forwards`, so that drift hits all alike. The quality
    runs come after the first round, baseline first because the others are compared with its logits; profiles after them.
    """
    variants = range(len(spec.variants))
    runs: list[PlannedRun] = []
    for round_ in range(spec.rounds):
        order = variants if forwards(round_) else reversed(variants)
        runs += [PlannedRun(v, round_, RunKind.SPEED) for v in order]
        if round_ == 0 and spec.workload.build().measures_quality() and spec.model.source != "shape":
            runs += [PlannedRun(v, 0, RunKind.QUALITY) for v in variants]
        if round_ == 0 and spec.profile:
            runs += [PlannedRun(v, 0, RunKind.PROFILE) for v in variants]
    return runs


def new_id() -> str:
    """An unguessable public id: 128 random bits, 22 characters, safe in a URL."""
    return secrets.token_urlsafe(16)
