"""The record: one experiment with its runs, measurements and environments as plain JSON data.

The same shape comes from the database, from a bundle file and from a foreground run; analysis reads nothing else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from engine.measurement import RunResult, Status
from engine.specs import ExperimentSpec, PlannedRun, control_name, looks, new_id

FORMAT = "llm-tradeoff-lab/1"

LAYERED = "layered"
"""The environment fact that a technique brings about itself, by the packages that it needs in place of the core's."""

WORKLOAD_OF_IMPORTED = "imported"
"""The workload's name in a record that another tool's file was made into: none of this product's workloads."""

Record = dict[str, Any]


def new_record(spec: ExperimentSpec, source: str = "local") -> Record:
    """A record with its experiment and variants, and no runs yet."""
    return {
        "format": FORMAT,
        "experiment": {
            "id": new_id(), "title": spec.title, "spec": spec.model_dump(mode="json"), "source": source,
            "device": spec.device, "bound_device": None, "created_at": _now(),
        },
        "variants": [
            {"name": v.name, "stack": [t.model_dump(mode="json") for t in v.stack], "baseline": v.name == spec.baseline}
            for v in spec.variants
        ],
        "environments": {},
        "runs": [],
    }  # fmt: skip


def add_run(record: Record, planned: PlannedRun, result: RunResult, *, device: str, seconds: float, started_at: str) -> None:
    """Append one finished run."""
    environment = None
    if result.environment:
        environment = _digest(result.environment)
        record["environments"][environment] = result.environment
    record["runs"].append({
        "id": None, "variant": planned.variant, "round": planned.round, "kind": planned.kind.value,
        "status": result.status.value, "reason": result.reason, "device": device, "attempt": 1, "phase": None, "cancel": False,
        "started_at": started_at, "ended_at": _now(), "seconds": seconds, "environment": environment,
        "evidence": result.evidence, "details": result.details, "host_peak_bytes": result.host_peak_bytes,
        "log_tail": result.log_tail if result.status in (Status.FAILED, Status.TIMED_OUT) else None,
        "measurements": [asdict(m) | {"status": m.status.value, "n_samples": len(m.samples)} for m in result.measurements],
    })  # fmt: skip


def _digest(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def base_position(record: Record) -> int:
    """Which of the variants is the baseline."""
    return next(i for i, variant in enumerate(record["variants"]) if variant["baseline"])


def only(record: Record, positions: Sequence[int]) -> Record:
    """The same experiment with these variants alone, in this order. The baseline, and the control where there is one, must be among
    them; what must be equal between experiments (engine/comparability.py) is asked of the whole record, not of this."""
    new = {position: index for index, position in enumerate(positions)}
    assert base_position(record) in new and control_position(record) in (*new, None)
    runs = [run | {"variant": new[run["variant"]]} for run in record["runs"] if run["variant"] in new]
    return record | {"variants": [record["variants"][p] for p in positions], "runs": runs}


def device_memory_bytes(record: Record) -> int | None:
    """What the one device has that the runs were on; None where none has said, and for several GPUs, which have it between them."""
    found = {facts.get("device_memory_bytes") for facts in record["environments"].values()}
    several = str(record["experiment"]["bound_device"] or record["experiment"]["device"]).endswith(":all")
    value = found.pop() if len(found) == 1 and not several else None
    return value if isinstance(value, int) else None


def imported_from(record: Record) -> str | None:
    """'lm-eval 0.4.13' where another tool measured it, so that nothing is concluded from it; None for what this product measured."""
    found = record["experiment"]["spec"].get("imported")
    return " ".join(filter(None, (found.get("tool"), found.get("version")))) if isinstance(found, dict) else None


def planned_looks(record: Record) -> int:
    """At how many moments verdicts are drawn: one, or each look of an experiment that may stop early."""
    spec = record["experiment"]["spec"]
    return len(looks(spec["rounds"])) if spec.get("stop_early") else 1


def control_position(record: Record) -> int | None:
    """Which of the variants is the A/A control, the baseline measured a second time; None where the experiment has none."""
    spec = record["experiment"]["spec"]
    if not spec.get("control"):  # specs of earlier versions do not know the word
        return None
    return next(i for i, variant in enumerate(record["variants"]) if variant["name"] == control_name(spec["baseline"]))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
