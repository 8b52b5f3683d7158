"""What one experiment becomes when it is tried again: the same, with one named change. Also what differs between two specs, in words.

A change is named in links (`/new?from=ID&change=NAME`), so names stay. Submits nothing: the form shows what it makes first.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from engine.measurement import Status
from engine.presets import parse_spec
from engine.record import Record, base_position, control_position
from engine.registry import discover
from engine.specs import ExperimentSpec, default_name

VERDICT_ROUNDS = 5
"""So many rounds are asked for where there were too few."""
_SIZES = ("batch_sizes", "batch_size", "batch", "seq_lens", "sequence_lengths", "seq_len", "prompt_tokens", "max_length")
"""Options that memory grows with, in the order in which they are made smaller."""

Data = dict[str, Any]


def changed(record: Record, name: str) -> ExperimentSpec:
    """The spec of a record with a change of CHANGES. Raises ValueError where the change makes no sense there."""
    if name not in CHANGES:
        raise ValueError(f"change: {name!r} is not known; there is {', '.join(CHANGES)}")
    data = json.loads(json.dumps(record["experiment"]["spec"]))
    control = control_position(record)
    if control is not None:  # it comes back by its option, under the name of whatever is the baseline then
        data["variants"].pop(control)
    return parse_spec(CHANGES[name](record, data))


def retried(record: Record) -> list[int]:
    """Positions of the variants that a retry measures: the baseline, and those of which a run ended without a result."""
    base, control = base_position(record), control_position(record)
    wanting = {r["variant"] for r in record["runs"] if Status(r["status"]).ended and not Status(r["status"]).is_result}
    wanting.discard(control)
    if not wanting:
        return []
    every = [i for i in range(len(record["variants"])) if i != control]
    return every if base in wanting else sorted(wanting | {base})


def _failed(record: Record, data: Data) -> Data:
    positions = retried(record)
    if not positions:
        raise ValueError("every run of it ended in a result: there is nothing to retry")
    names = {record["variants"][i]["name"] for i in positions}
    return data | {"title": _titled(data["title"], "retry"), "variants": [v for v in data["variants"] if v["name"] in names]}


def _more_rounds(_: Record, data: Data) -> Data:
    return data | {"title": _titled(data["title"], f"{VERDICT_ROUNDS} rounds"), "rounds": max(data["rounds"], VERDICT_ROUNDS)}


def _longer(_: Record, data: Data) -> Data:
    return data | {"title": _titled(data["title"], "longer"), "timeout_seconds": min(data["timeout_seconds"] * 4, 86_400)}


def _smaller(_: Record, data: Data) -> Data:
    written = data["workload"]
    options = discover().workload(written["name"], written["options"]).model_dump(mode="json")
    for name in (n for n in _SIZES if n in options):
        if (half := _halved(options[name])) is not None:
            workload = {"name": written["name"], "options": written["options"] | {name: half}}
            return data | {"title": _titled(data["title"], "smaller"), "workload": workload}
    raise ValueError(f"workload: {written['name']} has nothing that could be halved")


def _halved(value: Any) -> Any:
    """8 -> 4, [1, 8] -> [1, 4]; None where it is one already."""
    if isinstance(value, list):
        top = max(value) // 2
        return sorted({v for v in value if v <= top} | {top}) if top else None
    return value // 2 or None


def _titled(title: str, what: str) -> str:
    return f"{title[: 198 - len(what)]}, {what}"


CHANGES: dict[str, Callable[[Record, Data], Data]] = {
    "again": lambda _, data: data, "failed": _failed, "verdict": _more_rounds, "smaller": _smaller, "longer": _longer,
}  # fmt: skip


def differences(before: ExperimentSpec, after: ExperimentSpec) -> list[str]:
    """What differs, one change a line: 'rounds: 5 instead of 3', 'without nf4'. The title, which is only a name, is left out."""
    old, new = _facts(before), _facts(after)
    texts = [f"{key}: {new.get(key, 'the default')} instead of {old.get(key, 'the default')}" for key in {**old, **new} if old.get(key) != new.get(key)]
    stacks = [{v.name: default_name(v.stack) if v.stack else "the model as stored" for v in spec.variants} for spec in (before, after)]
    gone = [name for name in stacks[0] if name not in stacks[1]]
    texts += [f"without {name}" for name in gone]
    texts += [f"with {name}" for name in stacks[1] if name not in stacks[0]]
    return texts + [f"{name}: {stacks[1][name]} instead of {stacks[0][name]}" for name in stacks[0] if stacks[1].get(name, stacks[0][name]) != stacks[0][name]]


def _facts(spec: ExperimentSpec) -> dict[str, str]:
    data = spec.model_dump(mode="json", exclude={"title", "variants", "workload", "model"})
    options = spec.workload.build().model_dump(mode="json")
    plain = {"model": str(spec.model), **data, "workload": spec.workload.name, **{f"workload {k}": v for k, v in options.items()}}
    return {key.replace("_", " "): _text(value) for key, value in plain.items()}


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else "none" if value is None else str(value)
