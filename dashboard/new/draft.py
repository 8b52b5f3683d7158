"""The experiment that is being written and not sent yet, in st.session_state: filled, and changed by the form's callbacks.

Knows no widget. What it would start is attempt.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st
from pydantic import ValidationError

from dashboard import forms
from engine.modelspec import ModelSpec
from engine.planning.changes import differences
from engine.registry import readable
from engine.specs import ExperimentSpec, TechniqueSpec, VariantSpec, control_name, default_name, new_id
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


@dataclass(frozen=True)
class Origin:
    """What the form was filled from: a preset, or an experiment with its id."""

    label: str
    spec: ExperimentSpec
    experiment_id: str | None = None

    def changes(self, now: ExperimentSpec) -> list[str]:
        return differences(self.spec, now)


def set_origin(origin: Origin | None) -> None:
    st.session_state["new_origin"] = origin


def origin() -> Origin | None:
    found = st.session_state.get("new_origin")
    return found if isinstance(found, Origin) else None


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


def request_key(*, arrived: bool) -> str:
    """One key per visit of the form: a double click, even one that arrives when the page has changed, submits once."""
    if arrived or "new_request" not in st.session_state:
        st.session_state["new_request"] = new_id()
    return str(st.session_state["new_request"])
