"""The experiment that is being written and not sent yet: kept in st.session_state, turned into a checked ExperimentSpec.

Knows no widget; callbacks of the form change it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st
from pydantic import ValidationError

from dashboard import forms
from engine.devices import Device
from engine.modelspec import ModelSpec
from engine.presets import parse_spec
from engine.registry import readable
from engine.specs import ExperimentSpec, TechniqueSpec, VariantSpec, control_name, default_name, expand, new_id
from engine.technique import SLOT_ORDER, Slot

OTHER_MODEL = "another model"
AS_STORED = "the model as stored"
BLANK: dict[str, Any] = {
    "title": "My experiment", "model": {"source": "bundled", "name": "smollm2-135m"}, "device": "cpu", "rounds": 3, "baseline": None,
    "workload": {"name": "generation", "options": {}}, "variants": [], "seed": 0, "timeout_seconds": 3600, "profile": False,
    "control": False, "stop_early": False,
}  # fmt: skip

Row = dict[str, Any]


def begin(workloads: Sequence[Row], models: Sequence[str], spec: Row | None = None, *, overwrite: bool = False) -> None:
    """Fill the form from an experiment's spec as JSON data, or with what is usual; keeps what was typed unless told otherwise."""
    state, spec = st.session_state, BLANK | (spec or {})
    if "new_variants" in state and not overwrite:
        return
    model = str(ModelSpec.model_validate(spec["model"]))
    named = {"title": spec["title"], "device": spec["device"], "rounds": spec["rounds"], "seed": spec["seed"],
             "timeout": spec["timeout_seconds"], "profile": spec["profile"], "control": spec["control"],
             "stop_early": spec["stop_early"], "threads": spec.get("threads"), "workload": spec["workload"]["name"],
             "model": model if model in models else OTHER_MODEL, "model_text": "" if model in models else model}  # fmt: skip
    for name, value in named.items():
        state[f"new_{name}"] = value
    # the control is asked for by its tick, and comes back under the name of whatever is the baseline then
    control = control_name(spec["baseline"]) if spec["control"] and spec["baseline"] else None
    state["new_variants"] = [{"name": v["name"], "stack": v["stack"]} for v in spec["variants"] if v["name"] != control]
    state["new_baseline"] = spec["baseline"] or AS_STORED
    for row in workloads:
        values = spec["workload"]["options"] if row["name"] == spec["workload"]["name"] else {}
        forms.fill(row["options"], workload_key(row["name"]), values, state, overwrite=True)


def workload_key(name: str) -> str:
    return f"new_workload_{name}"


def technique_key(name: str) -> str:
    return f"new_technique_{name}"


def used_key(name: str) -> str:
    return f"new_use_{name}"


def model_name() -> str:
    """What the user chose or wrote; may be anything."""
    chosen = str(st.session_state["new_model"])
    return str(st.session_state.get("new_model_text", "")).strip() if chosen == OTHER_MODEL else chosen


def ticked(techniques: Sequence[Row]) -> tuple[list[Row], list[str]]:
    """(stack of the ticked techniques with their options, in order of application; problems)."""
    stack, problems = [], []
    for row in sorted(techniques, key=lambda r: SLOT_ORDER[Slot(r["slot"])]):
        if st.session_state.get(used_key(row["name"])):
            options, found = forms.read(row["options"], technique_key(row["name"]), st.session_state)
            stack.append({"technique": row["name"], "options": options})
            problems += [f"{row['name']}: {p}" for p in found]
    return stack, problems


def add_variants(techniques: Sequence[Row], *, together: bool) -> None:
    """Callback: add what is ticked as one variant, or as one variant each. What is wrong is left in `new_stack_problem`."""
    state = st.session_state
    stack, problems = ticked(techniques)
    if not problems and not stack:
        problems = ["Tick at least one technique first."]
    if not problems:
        for part in [stack] if together else [[t] for t in stack]:
            problems += _add(part)
    state["new_stack_problem"] = "; ".join(problems) or None
    if not problems:
        for row in techniques:
            state[used_key(row["name"])] = False


def _add(stack: list[Row]) -> list[str]:
    variants = st.session_state["new_variants"]
    name = default_name(tuple(TechniqueSpec(**t) for t in stack))[:120]
    try:
        VariantSpec.model_validate({"name": name, "stack": stack})
    except ValidationError as error:
        return [readable(error)]
    if any(v["name"] == name for v in variants):
        return [f"variants: {name} is in the list already"]
    st.session_state["new_variants"] = [*variants, {"name": name, "stack": stack}]
    return []


def remove_variant(name: str) -> None:
    """Callback."""
    st.session_state["new_variants"] = [v for v in st.session_state["new_variants"] if v["name"] != name]
    if st.session_state.get("new_baseline") == name:
        st.session_state["new_baseline"] = AS_STORED


def spec(workloads: Sequence[Row]) -> ExperimentSpec:
    """The checked spec. Raises ValueError naming the field and the fix."""
    state = st.session_state
    workload = next(row for row in workloads if row["name"] == state["new_workload"])
    options, problems = forms.read(workload["options"], workload_key(workload["name"]), state)
    if problems:
        raise ValueError("; ".join(f"workload: {p}" for p in problems))
    for field in ("rounds", "seed", "timeout"):
        if state[f"new_{field}"] is None:
            raise ValueError(f"{field}: give a whole number")
    return parse_spec({
        "title": state["new_title"], "model": model_name(), "device": state["new_device"], "rounds": state["new_rounds"],
        "baseline": None if state["new_baseline"] == AS_STORED else state["new_baseline"], "seed": state["new_seed"],
        "timeout_seconds": state["new_timeout"], "threads": state["new_threads"], "profile": state["new_profile"],
        "control": state["new_control"], "stop_early": state["new_stop_early"],
        "workload": {"name": workload["name"], "options": options}, "variants": state["new_variants"],
    })  # fmt: skip


def request_key(*, arrived: bool) -> str:
    """One key per visit of the form: a double click, even one that arrives when the page has changed, submits once."""
    if arrived or "new_request" not in st.session_state:
        st.session_state["new_request"] = new_id()
    return str(st.session_state["new_request"])


@dataclass(frozen=True)
class Plan:
    """What pressing Run would start. runs: {kind: how many}. seconds: None where nothing like it was measured before."""

    variants: int
    rounds: int
    runs: dict[str, int]
    seconds: float | None


def plan(spec: ExperimentSpec, past_seconds: dict[str, float]) -> Plan:
    """past_seconds: median seconds of a run by kind, from earlier runs of this model."""
    counts = Counter(r.kind.value for r in expand(spec))
    # a profile loads the model and does a few steps, as a speed run does at least
    past = {"profile": past_seconds["speed"]} | past_seconds if "speed" in past_seconds else past_seconds
    known = all(kind in past for kind in counts)
    return Plan(len(spec.variants), spec.rounds, dict(counts), sum(n * past[kind] for kind, n in counts.items()) if known else None)


def offered(schedulers: Sequence[Row], local: Sequence[Device]) -> list[Device]:
    """Devices that schedulers publish; this machine's where none is alive."""
    published = {d["key"]: Device.from_json(d) for s in schedulers for d in s["devices"]}
    return list(published.values()) or list(local)


def reasons(wanted: str, schedulers: Sequence[Row], techniques: Sequence[Row]) -> dict[str, str | None]:
    """{technique: why it cannot run on the wanted device, or None}: available if one fitting device of a scheduler can.

    Without a scheduler, or for a device that none has, the answer is this machine's, which is in the rows.
    """
    found: dict[str, list[str | None]] = {}
    for scheduler in schedulers:
        for data in scheduler["devices"]:
            if Device.from_json(data).answers(wanted):
                for name, why in scheduler["availability"].get(data["id"], {}).items():
                    found.setdefault(name, []).append(why)
    own = {row["name"]: row["reason"] for row in techniques}
    return {n: (None if None in found[n] else found[n][0]) if n in found else own[n] for n in own}
