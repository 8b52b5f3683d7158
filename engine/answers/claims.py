"""The claims: what the chapter says in numbers, as data that measurements can be held against. Reads experiments/claims/*.toml.

Owns what a claim file may say, which variants of a record test a claim, and the experiment that would settle it. Verdicts are in
engine/answers/claim_verdicts.py. Imports neither torch nor database.
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from engine.devices import Device
from engine.metrics import METRICS, repeats_exactly
from engine.modelspec import ModelSpec
from engine.presets import parse_spec
from engine.registry import discover, readable
from engine.settings import REPOSITORY
from engine.specs import ExperimentSpec, TechniqueSpec, WorkloadSpec
from engine.technique import Technique, unsupported_stack

FOLDER = REPOSITORY / "experiments" / "claims"
AS_STORED = "as stored"
TOLERANCE = 0.10
"""A single number n claims n - 10 % to n + 10 %: texts give one or two digits."""

Quantity = Literal["times less", "times more", "change", "value", "saved"]
Topic = Literal[
    "FlashAttention", "INT8", "INT4 and QLoRA", "Mixed precision", "Gradient checkpointing", "Optimizers", "KV cache", "Runtimes",
    "Parallelism", "Sizes",
]  # fmt: skip
_TECHNIQUE = re.compile(r"(\w+)(?:\((.*)\))?")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Published(_Part):
    """A number that somebody printed. tag: R read in the source, R2 in a transcription, E in an excerpt, D derived."""

    value: str = Field(min_length=1)
    tag: Literal["R", "R2", "E", "D"]
    source: str = Field(min_length=1)


class Claimed(_Part):
    """The claimed range in the unit of the quantity: `about` n, or `low` and `high`; an end that is left out is open."""

    about: float | None = None
    low: float | None = None
    high: float | None = None

    @model_validator(mode="after")
    def _resolved(self) -> Self:
        if (self.about is None) == (self.low is None and self.high is None):
            raise ValueError("claimed: give `about`, or `low` and `high` or one of them")
        if self.about is not None:
            ends = sorted((self.about * (1 - TOLERANCE), self.about * (1 + TOLERANCE)))
            for name, end in zip(("low", "high"), ends, strict=True):
                object.__setattr__(self, name, float(f"{end:.12g}"))  # 3.3, not 3.3000000000000003
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"claimed: low {self.low} is above high {self.high}")
        return self


class Settle(_Part):
    """Which measurements test a claim. Stacks are written as default names of variants are: 'bfloat16 + bnb_4bit(quant_type=nf4)'.

    baseline, variant: any of these stacks, whole: one technique more is another claim. paired: the n-th variant has the n-th baseline.
    models, options (of the workload; each with the values that will do), device (cpu or cuda) and point are conditions: where one of
    them differs, the measurement is not comparable. also: further options of the workload in the experiment that would settle the
    claim, which takes what is named first.
    """

    workload: str
    options: dict[str, tuple[Any, ...]] = {}
    also: dict[str, Any] = {}
    models: tuple[str, ...] = Field(min_length=1)
    baseline: tuple[str, ...] = ()
    variant: tuple[str, ...] = Field(min_length=1)
    paired: bool = False
    point: dict[str, tuple[int, ...]] = {}
    device: Literal["cpu", "cuda"] | None = None

    @model_validator(mode="after")
    def _known(self) -> Self:
        for text in (*self.baseline, *self.variant):
            parse_stack(text)
        if self.paired and len(self.baseline) != len(self.variant):
            raise ValueError(f"paired: {len(self.variant)} variants need as many baselines, found {len(self.baseline)}")
        return self

    def baselines(self, stack: Sequence[dict[str, Any]]) -> tuple[str, ...] | None:
        """The baselines that a variant with this stack is held against, the preferred first; None where it does not test the claim."""
        places = [i for i, text in enumerate(self.variant) if matches(text, stack)]
        if not places:
            return None
        return tuple(self.baseline[i] for i in places) if self.paired else self.baseline


class Claim(_Part):
    """One quantitative statement. `quantity` says how metric and claimed range belong together, and the direction:

    times less: baseline / variant. times more: variant / baseline. change: variant / baseline - 1. value: of the variant, in the
    metric's unit. saved: baseline - variant. Settled by measurements (`settle`), by a test of this repository that `shows` a verdict,
    or, with the reason, by neither (`unsettled`).
    """

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{2,60}$")
    covers: tuple[str, ...] = ()
    statement: str = Field(min_length=10, max_length=300)
    where: str = Field(min_length=3)
    technique: Topic
    metric: str
    quantity: Quantity
    claimed: Claimed
    conditions: str = Field(min_length=3)
    published: tuple[Published, ...] = ()
    settle: Settle | None = None
    test: str | None = Field(None, pattern=r"^tests/[\w/]+\.py::test_\w+$")
    shows: Literal["reproduced", "not reproduced"] | None = None
    unsettled: str | None = None

    @model_validator(mode="after")
    def _can_be_settled(self) -> Self:
        if self.metric not in METRICS:
            raise ValueError(f"metric: {self.metric!r} is not one of {', '.join(METRICS)}")
        if (self.test is None) != (self.shows is None):
            raise ValueError("test, shows: a test shows a verdict, so they come together")
        if (self.settle is None and self.test is None) != (self.unsettled is not None):
            raise ValueError("give settle or test; `unsettled` says why where there is neither")
        if self.settle and (self.quantity == "value") == bool(self.settle.baseline):
            raise ValueError("settle.baseline: a value has none, every other quantity needs one")
        return self


@functools.cache
def parse_stack(text: str) -> tuple[TechniqueSpec, ...]:
    """'bfloat16 + kv_cache(mode=off)' -> techniques with the options that are written. Raises ValueError."""
    if text == AS_STORED:
        return ()
    found = []
    for part in text.split(" + "):
        match = _TECHNIQUE.fullmatch(part)
        if match is None:
            raise ValueError(f"stack: {part!r} is not a technique; write name or name(option=value, ...), joined by ' + '")
        pairs = [p.partition("=") for p in (match[2] or "").split(", ") if p]
        technique = TechniqueSpec(technique=match[1], options={k: _scalar(v) for k, _, v in pairs})
        technique.build()
        found.append(technique)
    return tuple(found)


def _scalar(text: str) -> Any:
    # YAML reads off and on as truth values, which are words here
    return text if text in ("off", "on") else yaml.safe_load(text)


def matches(text: str, stack: Sequence[dict[str, Any]]) -> bool:
    """Whether a variant's stack is the written one: the same techniques, and the options that are written; others may be anything."""
    wanted = {t.technique: t.options for t in parse_stack(text)}
    if {t["technique"] for t in stack} != wanted.keys():
        return False
    return all(_has(t, wanted[t["technique"]]) for t in stack)


def _has(technique: dict[str, Any], options: dict[str, Any]) -> bool:
    if not options:
        return True
    built = discover().technique(technique["technique"], technique["options"]).model_dump(mode="json")
    return all(built.get(name) == value for name, value in options.items())


def load_claims(folder: Path = FOLDER) -> tuple[Claim, ...]:
    """All claims, file by file. Raises ValueError that names file, claim and field."""
    claims: list[Claim] = []
    for path in sorted(folder.glob("*.toml")):
        try:
            data = tomllib.loads(path.read_text())
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"{path.name} is not TOML: {error}") from None
        for number, one in enumerate(data.get("claim", ()), start=1):
            try:
                claims.append(Claim.model_validate(one))
            except ValidationError as error:
                raise ValueError(f"{path.name}: claim {one.get('id', number)}: {readable(error)}") from None
    ids = [c.id for c in claims]
    if twice := sorted({i for i in ids if ids.count(i) > 1}):
        raise ValueError(f"claims: the id {twice[0]!r} is used twice; give each claim its own")
    return tuple(claims)


@functools.cache
def claims() -> tuple[Claim, ...]:
    """The claims that come with this version."""
    return load_claims()


def experiment(claim: Claim) -> ExperimentSpec | None:
    """The smallest experiment that settles a claim; None where only a test or nothing does.

    What is counted, or measured once over samples, needs one round; a time needs five.
    """
    settle = claim.settle
    if settle is None:
        return None
    metric = METRICS[claim.metric]
    device = settle.device or "cpu"
    once = repeats_exactly(metric, device) or metric.paired_by != "rounds"
    stacks = dict.fromkeys([*settle.baseline[:1], settle.variant[0]])
    return parse_spec({
        "title": f"Claim: {claim.statement}"[:200], "model": settle.models[0], "device": device, "rounds": 1 if once else 5,
        "baseline": next(iter(stacks)), "workload": {"name": settle.workload, "options": settle.also | {k: v[0] for k, v in settle.options.items()}},
        "variants": [{"name": text, "stack": [t.model_dump() for t in parse_stack(text)]} for text in stacks],
    })  # fmt: skip


def obstacle(spec: ExperimentSpec, devices: Sequence[Device]) -> str | None:
    """Why a claim's experiment cannot run on any of these devices, in words; None where one of them can run all of it.

    Stricter than queueing, for which a variant that cannot run is a result: here each of them is needed.
    """
    from engine import api

    fitting = [d for d in devices if d.answers(spec.device)]
    if not fitting:
        return f"it needs a device {spec.device!r}, and none is offered here"
    try:
        api.check(spec, fitting)
    except ValueError as error:
        return str(error)
    reasons = [_unsupported(spec, device) for device in fitting]
    return None if None in reasons else reasons[0]


def _unsupported(spec: ExperimentSpec, device: Device) -> str | None:
    stacks: list[tuple[Technique, ...]] = [v.build() for v in spec.variants]
    workload = spec.workload.build()
    return next((reason for s in stacks if (reason := unsupported_stack(s, device, spec.model, workload))), None)


def differing(settle: Settle, model: dict[str, Any], workload: dict[str, Any], device: str) -> str | None:
    """The first condition of a claim that a record does not meet, in words; None where all are met."""
    if (name := str(ModelSpec.model_validate(model))) not in settle.models:
        return f"model {name}, not {' or '.join(settle.models)}"
    if settle.device not in (None, device):
        return f"measured on a {device} device, not {settle.device}"
    options = WorkloadSpec.model_validate(workload).build().model_dump(mode="json")
    for option, allowed in settle.options.items():
        if options.get(option) not in allowed:
            return f"{option} {options.get(option)}, not {' or '.join(map(str, allowed))}"
    return None
