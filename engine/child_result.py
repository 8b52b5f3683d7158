"""What a child leaves in its folder, read with suspicion and made into exactly one RunResult.

The child writes results.jsonl (one measurement per line, as soon as it exists) and, at its end, result.json by rename.
Believes nothing: every file may be absent, cut off, huge or nonsense.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine import disk
from engine.child_output import printable, printable_json
from engine.measurement import Measurement, RunResult, Status

SPEC, RESULTS, PROGRESS, RESULT, LOG = "spec.json", "results.jsonl", "progress.json", "result.json", "log.txt"

_MAX_BYTES = 64 * 2**20
_REASON_CHARACTERS, _PHASE_CHARACTERS, _TAIL_IN_REASON = 2_000, 200, 500
_REPORTABLE = (Status.SUCCEEDED, Status.FAILED, Status.OUT_OF_MEMORY, Status.UNSUPPORTED)


@dataclass(frozen=True)
class _Report:
    """The content of result.json. `status` is None where there is none that can be believed; `reason` says why."""

    status: Status | None
    reason: str | None = None
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)


def read_result(run_dir: Path, exit_code: int, *, out_of_memory: bool, host_peak_bytes: int, log_tail: str) -> RunResult:
    """The outcome of a child that has ended.

    exit_code: negative for a signal, as in subprocess. out_of_memory: the kernel killed a process for memory meanwhile.
    Measurements are kept in every case; evidence, environment and details wherever result.json is whole.
    """
    measurements, unreadable = _measurements(run_dir / RESULTS)
    report = _report(run_dir / RESULT)
    tail = log_tail.strip()[-_TAIL_IN_REASON:]
    suffix = f": {tail}" if tail else ""
    status, reason = Status.FAILED, report.reason
    if exit_code == -9 and out_of_memory:
        status, reason = Status.OUT_OF_MEMORY, f"host memory: killed by the kernel at {host_peak_bytes >> 20} MB"
    elif exit_code == -9:
        reason = "signal 9: killed from outside"  # it could not print anything about that
    elif exit_code < 0:
        reason = f"signal {-exit_code}{suffix}"
    elif exit_code > 0 and report.status is None:
        reason = f"exit {exit_code}, no result{suffix}"
    elif exit_code > 0:
        reason = f"exit {exit_code} after it reported {report.status}{f': {reason}' if reason else suffix}"
    elif report.status is Status.SUCCEEDED and unreadable:
        reason = unreadable
    elif report.status is not None:
        status = report.status
    return RunResult(
        status, disk.named(printable(reason))[:_REASON_CHARACTERS] if reason else None, measurements,
        host_peak_bytes=host_peak_bytes, log_tail=log_tail, **report.facts,
    )


def read_progress(run_dir: Path) -> str | None:
    """'warm-up: 2 of 3', or None while the child has said nothing that can be read."""
    try:
        data = json.loads(_read(run_dir / PROGRESS))
        phase, step, steps = str(data["phase"]), int(data.get("step") or 0), int(data.get("steps") or 0)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return printable(f"{phase}: {step} of {steps}" if steps else phase)[:_PHASE_CHARACTERS]


def _report(path: Path) -> _Report:
    try:
        data = _json(_read(path))
        status = Status(data["status"])
        if status not in _REPORTABLE:
            raise ValueError(f"status {status.value!r}")
        facts = {name: dict(data.get(name) or {}) for name in ("evidence", "environment", "details")}
        reason = data.get("reason")
        return _Report(status, None if reason is None else str(reason), printable_json(facts))
    except FileNotFoundError:
        return _Report(None, "exit 0, no result")
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        return _Report(None, f"unreadable result: {type(error).__name__}: {error}")


def _measurements(path: Path) -> tuple[tuple[Measurement, ...], str | None]:
    """Those of every whole line, and what is wrong with the first line that cannot be read. A last line cut off is dropped."""
    try:
        *lines, _ = _read(path).split(b"\n")
    except FileNotFoundError:
        return (), None
    except OSError as error:
        return (), f"unreadable measurements: {error}"
    kept, problem = [], None
    for number, line in enumerate(lines, 1):
        try:
            kept.append(Measurement.from_json(printable_json(_json(line))))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            problem = problem or f"unreadable measurement in line {number}: {type(error).__name__}: {error}"
    return tuple(kept), problem


def _read(path: Path) -> bytes:
    with path.open("rb") as f:
        data = f.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise OSError(f"{path.name} is larger than {_MAX_BYTES >> 20} MB")
    return data


def _json(data: bytes) -> Any:
    """Strict JSON: Python's own parser lets NaN, Infinity and 1e999 pass, which no database keeps."""
    return json.loads(data, parse_constant=_finite, parse_float=_finite)


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text} is not a finite number")
    return number
