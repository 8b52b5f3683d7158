"""The bundle: one record as a JSON file, checked when it is read so that nothing malformed reaches a database or a page.

Owns the file and what it must hold; the record's meaning is engine/record.py. Imports neither database nor torch.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    ValidationError,
    model_validator,
)

from engine.imports.reading import MAX_DEPTH, deeper
from engine.imports.spec import ImportedSpec
from engine.measurement import Status
from engine.presets import parse_spec
from engine.record import FORMAT, Record
from engine.registry import readable
from engine.specs import MAX_RUNS, ExperimentSpec, RunKind

MAX_BYTES = 256 * 2**20
_REASON_CHARACTERS = 1_000  # what is wrong with one run is often wrong with all
_MEASUREMENTS, _SAMPLES, _WORDS, _LOG = 10_000, 1_000_000, 20_000, 100_000
"""Of a run and of a measurement; characters of a reason, of a log's end. Ten times what is ever written, and more."""


def save_bundle(record: Record, path: Path) -> None:
    """Write a record as one JSON file, by rename. Raises ValueError where it cannot be written."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        temporary.write_text(json.dumps(record, allow_nan=False, indent=1))
        try:
            temporary.replace(path)
        except OSError:
            temporary.unlink()
            raise
    except OSError as error:
        raise ValueError(f"--bundle: {path} cannot be written: {error.strerror}; name a file in a folder of your own") from None


def load_bundle(path: Path) -> Record:
    """Read a bundle; its spec is completed with the defaults of this version. Raises ValueError that says what is wrong."""
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise ValueError(f"bundle: {path} has {size >> 20} MiB; {MAX_BYTES >> 20} MiB are read at most")
        text = path.read_text()
    except OSError as error:
        raise ValueError(f"bundle: cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"bundle: {path} is not JSON; it may have been cut off") from None
    try:
        record = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise ValueError(f"bundle: {path} is not JSON; it may have been cut off") from None
    if deeper(record, MAX_DEPTH):
        raise ValueError(f"bundle: {path} is nested more than {MAX_DEPTH} deep")
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        found = record.get("format") if isinstance(record, dict) else None
        raise ValueError(f"bundle: {path} has format {repr(found)[:80]}; this version reads {FORMAT!r}")
    if missing := [k for k in ("experiment", "variants", "environments", "runs") if k not in record]:
        raise ValueError(f"bundle: {path} has no {missing[0]!r}")
    try:
        bundle = _Bundle.model_validate_json(text)
    except ValidationError as error:
        raise ValueError(f"bundle: {path}: {readable(error)[:_REASON_CHARACTERS]}") from None
    record["experiment"]["spec"] = bundle.spec().model_dump(mode="json")
    return record


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _moment(text: str) -> str:
    if not text.endswith("Z"):
        raise ValueError(f"{text!r} is not a time in UTC; write 2026-01-31T12:00:00Z")
    datetime.fromisoformat(text.removesuffix("Z"))
    return text


_Whole = Annotated[int, Field(ge=0, le=2**31 - 1)]
_Moment = Annotated[str, AfterValidator(_moment)]


class _Part(BaseModel):
    """Strict: what is read is used as it stands in the file, so '1' must not pass for 1. What a later version added is let through."""

    model_config = ConfigDict(strict=True, extra="ignore")


class _Experiment(_Part):
    id: str = Field(pattern=r"^[\w-]{1,32}$")  # stands in links
    title: str = Field(min_length=1, max_length=200)
    spec: dict[str, Any]
    device: str = Field(max_length=200)
    bound_device: str | None = Field(max_length=200)
    created_at: _Moment


class _Variant(_Part):
    name: str
    stack: list[dict[str, Any]]
    baseline: bool


class _Measurement(_Part):
    metric: str = Field(max_length=64)
    point: dict[str, int | FiniteFloat | str] = Field(max_length=40)
    status: Status
    reason: str | None = Field(max_length=_WORDS)
    value: FiniteFloat | None
    samples: list[FiniteFloat] = Field(max_length=_SAMPLES)
    warmups: list[FiniteFloat] = Field(max_length=_SAMPLES)


class _Run(_Part):
    variant: _Whole
    round: _Whole
    kind: RunKind
    status: Status
    reason: str | None = Field(max_length=_WORDS)
    device: str | None = Field(max_length=200)
    attempt: _Whole
    started_at: _Moment | None
    ended_at: _Moment | None
    seconds: FiniteFloat | None
    environment: str | None = Field(max_length=200)
    evidence: dict[str, Any] | None
    details: dict[str, Any] | None
    host_peak_bytes: Annotated[int, Field(ge=0, le=2**63 - 1)] | None
    log_tail: str | None = Field(max_length=_LOG)
    measurements: list[_Measurement] = Field(max_length=_MEASUREMENTS)


class _Bundle(_Part):
    experiment: _Experiment
    variants: list[_Variant] = Field(max_length=MAX_RUNS)
    environments: dict[str, dict[str, Any]] = Field(max_length=MAX_RUNS)
    runs: list[_Run] = Field(max_length=MAX_RUNS)

    def spec(self) -> ExperimentSpec | ImportedSpec:
        """Raises ValueError. What another tool measured has a spec of its own kind."""
        try:
            if "imported" in self.experiment.spec:
                return ImportedSpec.model_validate(self.experiment.spec)
            return parse_spec(self.experiment.spec)
        except ValidationError as error:
            raise ValueError(f"experiment.spec: {readable(error)}") from None
        except ValueError as error:
            raise ValueError(f"experiment.spec: this version cannot read it: {error}") from None

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        spec = self.spec()
        if (baselines := [v.name for v in self.variants if v.baseline]) != [spec.baseline]:
            raise ValueError(f"variants: exactly one must be the baseline, {spec.baseline!r}; found {baselines}")
        written = [(v["name"], v["stack"]) for v in spec.model_dump(mode="json")["variants"]]
        if [(v.name, v.stack) for v in self.variants] != written:
            raise ValueError(f"variants: they are not those of experiment.spec: {', '.join(name for name, _ in written)}")
        for number, run in enumerate(self.runs):
            if run.variant >= len(self.variants):
                raise ValueError(f"runs.{number}.variant: there is no variant {run.variant}, the last one is {len(self.variants) - 1}")
            if run.round >= spec.rounds:
                raise ValueError(f"runs.{number}.round: there is no round {run.round}, the last one is {spec.rounds - 1}")
            if run.environment is not None and run.environment not in self.environments:
                raise ValueError(f"runs.{number}.environment: {run.environment!r} is not in environments")
        return self
