"""What must be equal before numbers are compared or joined, listed once, and the names of what differs.

Within an experiment every fact of the environment must be equal, but for a technique's own packages. Runs of several
experiments may be joined where nothing stands in `differences`. Reads records; computes no effect, imports no torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from engine.record import LAYERED, Record, base_position, imported_from
from engine.registry import discover
from engine.specs import TechniqueSpec, default_name

MUST_MATCH = {
    "device": "device", "driver": "driver", "packages.torch": "torch", "power_limit_watts": "power limit in watts",
    "cpu_flags": "CPU flags", "threads": "CPU threads",
}  # fmt: skip
"""The facts of an environment that must be equal where runs of several experiments are joined, with their names for people."""
NOT_RECORDED = "not recorded"
_NAMED = 3


@dataclass(frozen=True)
class Difference:
    """One fact that is not equal: its name for people, and both values as text."""

    key: str
    a: str
    b: str

    def __str__(self) -> str:
        return f"{self.key} {self.a} instead of {self.b}"


def same_but_for_layers(record: Record) -> dict[str, dict[str, Any]]:
    """{id of an environment: its facts, without the packages that a technique brings itself}."""
    return {key: {k: v for k, v in facts.items() if k != LAYERED} for key, facts in record["environments"].items()}


def of_facts(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Difference]:
    """All that differs between two sets of facts, what must always match first."""
    first, second = flat(a), flat(b)
    keys = sorted(first.keys() | second.keys(), key=lambda k: (k not in MUST_MATCH, k))
    return [_difference(MUST_MATCH.get(k, k.removeprefix("packages.").replace("_", " ")), first, second, k) for k in keys if first.get(k) != second.get(k)]


def in_words(found: Sequence[Difference]) -> str:
    """'driver 580.1 instead of 570.2; CPU threads 8 instead of 16': the first of them, and how many more there are."""
    more = len(found) - _NAMED
    return "; ".join(map(str, found[:_NAMED])) + (f"; and {more} more" if more > 0 else "")


def differences(a: Record, b: Record) -> list[Difference]:
    """Why the runs of two experiments must not be joined; empty where they may.

    Compared are the model, the facts of MUST_MATCH, the baseline's stack (with the model it fixes the number type of the
    baseline), the workload with every option, and the text or examples behind the quality (by their hash). A fact that only one
    of them recorded differs: nothing shows that it is equal.
    """
    first, second = conditions(a), conditions(b)
    return [_difference(key, first, second, key) for key in {**first, **second} if first.get(key) != second.get(key)]


def _difference(name: str, a: Mapping[str, str], b: Mapping[str, str], key: str) -> Difference:
    return Difference(name, a.get(key, NOT_RECORDED), b.get(key, NOT_RECORDED))


def conditions(record: Record) -> dict[str, str]:
    """{name for people: value as text} of all that must be equal where runs of two experiments are joined."""
    spec = record["experiment"]["spec"]
    tool = imported_from(record)  # two files of one tool are not known to be alike either
    found = {"measured by": "this product" if tool is None else f"{tool}, {spec['imported'].get('file')}, {record['experiment']['id']}"}
    found["model"] = " ".join(str(v) for v in spec["model"].values() if v)
    environments = [flat(record["environments"][key]) for key in dict.fromkeys(r["environment"] for r in record["runs"]) if key]
    for key, name in MUST_MATCH.items():
        # a driver that was updated half way makes two values, which equal no single one
        if values := sorted({facts[key] for facts in environments if key in facts}):
            found[name] = " and ".join(values)
    stack = record["variants"][base_position(record)]["stack"]
    found["baseline"] = default_name(tuple(TechniqueSpec.model_validate(t) for t in stack)) if stack else "the model as stored"
    found |= {f"workload {key}".strip(): value for key, value in flat(_workload(spec["workload"])).items()}
    for run in record["runs"]:
        protocol = (run["details"] or {}).get("quality")
        if run["kind"] == "quality" and isinstance(protocol, dict):
            found |= {f"quality {key}": value for key, value in flat(protocol).items()}
    return found


def _workload(written: dict[str, Any]) -> dict[str, Any]:
    """Name and all options, those that were left out too; as written where this version does not know the workload or an option."""
    known = discover().workloads.get(written["name"])
    try:
        options = known(**written["options"]).model_dump(mode="json") if known else written["options"]
    except ValidationError:
        options = written["options"]
    return {"name": written["name"], **options}


def flat(facts: Mapping[str, Any]) -> dict[str, str]:
    """{'driver': ..., 'packages.torch': ...}: values as text; what is None was not recorded."""
    found: dict[str, str] = {}
    for key, value in facts.items():
        inner = {f"{key}.{k}": v for k, v in value.items()} if isinstance(value, dict) else {key: value}
        found |= {k: _text(v) for k, v in inner.items() if v is not None}
    return found


def _text(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(v, str) for v in value):
        return " ".join(value) or "none"
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
