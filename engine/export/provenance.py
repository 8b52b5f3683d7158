"""Where an exported row comes from: experiment, device, driver, versions, model and revision, what was run, and by which code.

Read from the record. What a run did not record is None; several values of one fact stand side by side, and none is chosen.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from engine.comparability import of_workload
from engine.export.table import columns
from engine.record import Record, imported_from

PRODUCT = "LLM Trade-off Lab"
FIRST = columns(experiment_id="text", title="text", device="text", created_at="time", link="text")
"""Which experiment; in front of every row of a summary."""
LAST = columns(
    source="text", measured_by="text", device_name="text", machine="text", driver="text", cuda="text", torch="text", transformers="text", python="text",
    layered_packages="text", model_source="text", model="text", model_revision="text", workload="text", workload_hash="text",
    rounds="count", seed="count", commit="text",
)  # fmt: skip
"""Under which conditions; behind every row."""
_FACTS = {
    "device_name": ("device",), "machine": ("machine",), "driver": ("driver",), "cuda": ("cuda",), "torch": ("packages", "torch"),
    "transformers": ("packages", "transformers"), "python": ("python",), "layered_packages": ("layered", "packages"),
}  # fmt: skip


def first(record: Record, link: str | None) -> list[Any]:
    """Values of FIRST."""
    experiment = record["experiment"]
    return [experiment["id"], experiment["title"], experiment["bound_device"] or experiment["device"], experiment["created_at"], link]


def last(record: Record, position: int) -> list[Any]:
    """Values of LAST for one variant: the facts of its own runs."""
    runs = [run for run in record["runs"] if run["variant"] == position]
    environments = [record["environments"][key] for key in dict.fromkeys(run["environment"] for run in runs) if key]
    return conditions(record, environments, [(run["details"] or {}).get("code") for run in runs])


def conditions(record: Record, environments: Sequence[dict[str, Any]], commits: Iterable[str | None]) -> list[Any]:
    """Values of LAST: of the record's experiment and spec, with the facts and the commits given."""
    experiment, spec = record["experiment"], record["experiment"]["spec"]
    found: dict[str, Any] = {name: _joined(_fact(facts, path) for facts in environments) for name, path in _FACTS.items()}
    model, workload = spec["model"], spec["workload"]
    found |= {
        "source": experiment.get("source"), "measured_by": imported_from(record) or PRODUCT, "model_source": model["source"],
        "model": model["name"], "model_revision": model.get("revision"), "workload": workload["name"], "workload_hash": workload_hash(workload),
        "rounds": spec.get("rounds"), "seed": spec.get("seed"), "commit": _joined(commits),
    }  # fmt: skip
    return [found[column.name] for column in LAST]


def workload_hash(written: dict[str, Any]) -> str:
    """Equal where the same work was done: a hash over the workload's name and every option, those left out too. written: `workload` of a spec."""
    return _hash_of(json.dumps(written, sort_keys=True))


@lru_cache(maxsize=256)  # many experiments do the same work
def _hash_of(written: str) -> str:
    return hashlib.sha256(json.dumps(of_workload(json.loads(written)), sort_keys=True).encode()).hexdigest()[:16]


def _fact(facts: dict[str, Any], path: tuple[str, ...]) -> Any:
    found: Any = facts
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _joined(values: Iterable[Any]) -> str | None:
    """Text of all the different ones; None where there is none."""
    return " and ".join(dict.fromkeys(_text(value) for value in values if value is not None)) or None


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    return str(value)
