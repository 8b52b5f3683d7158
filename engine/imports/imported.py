"""What a reader of a foreign file hands over, and the record that is made of it.

A record of this shape is stored, listed, drawn and exported like any other. `spec.imported` marks it: engine/analysis.py gives it no
verdict, and what answers from measurements leaves it out.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from engine.imports.spec import imported_spec
from engine.measurement import Point
from engine.metrics import METRICS
from engine.record import FORMAT, Record
from engine.registry import readable

MAX_MEASUREMENTS, MAX_EXTRAS = 2_000, 3_000
_LONGEST_NAME, _LONGEST_TITLE, _LONGEST_VERSION = 120, 200, 40


@dataclass(frozen=True)
class Number:
    """A number of the tool under a metric of ours, whose definition is the same. In the metric's SI unit.

    samples: where the file has them; value: what stands for them, their median unless given. n: how many are behind the value.
    origin: where in the file it comes from and what was done with it.
    """

    metric: str
    point: Point
    origin: str
    samples: tuple[float, ...] = ()
    value: float | None = None
    n: int = 0


@dataclass(frozen=True)
class Extra:
    """A number that has no metric here, under the tool's own name and in its own unit."""

    name: str
    value: float
    unit: str
    point: Point


@dataclass
class Imported:
    """One file. left_out: what is in it and is not taken over, each with the reason. remark: what limits all of it."""

    tool: str
    version: str | None
    title: str
    variant: str
    model: str
    device: str = "unknown"
    created_at: datetime | None = None
    environment: dict[str, Any] = field(default_factory=dict)
    configuration: dict[str, Any] = field(default_factory=dict)
    numbers: list[Number] = field(default_factory=list)
    extras: list[Extra] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    remark: str | None = None


def record_id(content: bytes) -> str:
    """The same for the same file, so that one is not imported twice; 22 characters, safe in a link."""
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()[:16]).decode().rstrip("=")


def to_record(found: Imported, content: bytes, file: str) -> Record:
    """Raises ValueError where nothing in the file can be shown, or there is too much of it."""
    if not found.numbers and not found.extras:
        raise ValueError(f"{file}: {found.tool} wrote no number into it")
    for what, values, most in (("measurements", found.numbers, MAX_MEASUREMENTS), ("values", found.extras, MAX_EXTRAS)):
        if len(values) > most:
            raise ValueError(f"{file}: it has {len(values):,} {what}; {most:,} are read at most")
    name = f"{found.variant[: _LONGEST_NAME - 11]} (imported)"
    version = found.version and found.version[:_LONGEST_VERSION]
    tool = f"{found.tool} {version}" if version else found.tool
    created = (found.created_at or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    title = f"{found.title[: _LONGEST_TITLE - len(tool) - 17]} (imported from {tool})"
    source = {"tool": found.tool, "version": version, "file": file, "sha256": hashlib.sha256(content).hexdigest()}
    try:
        spec = imported_spec(title, found.model, found.device[:200], name, source).model_dump(mode="json")
    except ValidationError as error:
        raise ValueError(f"{file}: {readable(error)}") from None
    environment = hashlib.sha256(repr(sorted(found.environment.items())).encode()).hexdigest()
    details = {
        "imported": {
            "tool": tool, "file": file, "remark": found.remark, "configuration": found.configuration, "left_out": found.left_out,
            "origins": {n.metric: n.origin for n in found.numbers},
            "extras": [{"name": e.name, "value": e.value, "unit": e.unit, "point": e.point} for e in found.extras],
        }
    }  # fmt: skip
    runs = [
        _run(kind, numbers, details if first else {}, environment if found.environment else None, found.device, created)
        for first, (kind, numbers) in zip((True, False), _by_kind(found.numbers), strict=False)
    ]
    return {
        "format": FORMAT,
        "experiment": {
            "id": record_id(content), "title": title, "spec": spec, "source": "imported", "device": found.device[:200], "bound_device": None,
            "created_at": created,
        },
        "variants": [{"name": name, "stack": [], "baseline": True}],
        "environments": {environment: found.environment} if found.environment else {},
        "runs": runs,
    }  # fmt: skip


def _by_kind(numbers: list[Number]) -> list[tuple[str, list[Number]]]:
    """A run for what is timed or counted, and one for quality; the first is there even where neither is."""
    quality = [n for n in numbers if METRICS[n.metric].kind in ("quality", "fidelity")]
    rest = [n for n in numbers if n not in quality]
    return [(kind, own) for kind, own in (("speed", rest), ("quality", quality)) if own] or [("speed", [])]


def _run(kind: str, numbers: list[Number], details: dict[str, Any], environment: str | None, device: str, at: str) -> dict[str, Any]:
    return {
        "id": None, "variant": 0, "round": 0, "kind": kind, "status": "succeeded", "reason": None, "device": device[:200], "attempt": 1,
        "phase": None, "cancel": False, "started_at": at, "ended_at": at, "seconds": None, "environment": environment, "evidence": {},
        "details": details, "host_peak_bytes": None, "log_tail": None, "measurements": [_measurement(n) for n in numbers],
    }  # fmt: skip


def _measurement(number: Number) -> dict[str, Any]:
    from statistics import median

    value = number.value if number.value is not None else median(number.samples)
    return {
        "metric": number.metric, "point": dict(number.point), "status": "succeeded", "reason": None, "value": value,
        "samples": list(number.samples), "warmups": [], "n_samples": len(number.samples) or number.n,
    }  # fmt: skip
