"""What pressing Run would start: the draft as a checked spec or what is wrong with it by field, its runs and time, what can be chosen.

Reads the draft (draft.py) and draws nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st
from pydantic import ValidationError

from dashboard import forms
from dashboard.new.draft import AS_STORED, Row, model_name, ticked, workload_key
from engine import api
from engine.devices import Device, local_devices
from engine.modelspec import ModelSpec
from engine.specs import ExperimentSpec, TechniqueSpec, WorkloadSpec, expand


def written(workloads: Sequence[Row]) -> tuple[Row, dict[str, str]]:
    """(what the form says as an experiment's data, {field: what is wrong with it} for what is no value at all)."""
    state = st.session_state
    workload = next(row for row in workloads if row["name"] == state["new_workload"])
    options, found = forms.read(workload["options"], workload_key(workload["name"]), state)
    problems = {f"workload.{text.partition(': ')[0]}": text.partition(": ")[2] for text in found}
    for field in ("rounds", "seed", "timeout"):
        if state[f"new_{field}"] is None:
            problems[field] = "give a whole number"
    return {
        "title": state["new_title"], "model": model_name(), "device": state["new_device"], "rounds": state["new_rounds"],
        "baseline": None if state["new_baseline"] == AS_STORED else state["new_baseline"], "seed": state["new_seed"],
        "timeout_seconds": state["new_timeout"], "threads": state["new_threads"], "profile": state["new_profile"],
        "control": state["new_control"], "stop_early": state["new_stop_early"],
        "workload": {"name": workload["name"], "options": options}, "variants": state["new_variants"],
    }, problems  # fmt: skip


@dataclass(frozen=True)
class Attempt:
    """problems: {field: what is wrong and the fix}; fields of a workload are 'workload.batch_sizes', '' is no single field.

    spec: None where what is written is no spec; with problems it cannot run here.
    """

    spec: ExperimentSpec | None
    problems: dict[str, str]

    def of(self, field: str) -> dict[str, str]:
        """The problems of a field's own fields."""
        return {name.removeprefix(f"{field}."): text for name, text in self.problems.items() if name.startswith(f"{field}.")}


def attempt(workloads: Sequence[Row], devices: Sequence[Device]) -> Attempt:
    """Checks all that pressing Run would check."""
    data, problems = written(workloads)
    if problems:
        return Attempt(None, problems)
    try:
        spec = ExperimentSpec.model_validate(data)
    except ValidationError as error:
        return Attempt(None, _problems(error))
    try:
        api.check(spec, devices)
    except ValueError as error:
        return Attempt(spec, _by_field(str(error)))
    return Attempt(spec, {})


def _problems(error: ValidationError) -> dict[str, str]:
    found: dict[str, str] = {}
    for e in error.errors(include_url=False):
        message = e["msg"].removeprefix("Value error, ") + ("" if e["type"] in ("missing", "value_error") else f" (given: {e['input']!r})")
        field = {"timeout_seconds": "timeout"}.get(str(e["loc"][0]), str(e["loc"][0])) if e["loc"] else ""
        found = {**(_by_field(message) if field in ("", "workload") else {field: message}), **found}
    return found


def _by_field(message: str) -> dict[str, str]:
    """'rounds: ask for more' -> its field and the rest; 'workload generation: repeats: too few; ...' -> one for each option."""
    field, _, text = message.partition(": ")
    if field.startswith("workload "):
        parts = [part.partition(": ") for part in text.split("; ")]
        return {f"workload.{name.partition('.')[0]}": text for name, _, text in reversed(parts)}
    return {field: text} if field in _FIELDS else {"": message}


_FIELDS = ("title", "model", "device", "rounds", "baseline", "seed", "timeout", "threads", "control", "stop_early", "workload", "variants", "dataset")


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


def reasons(wanted: str, schedulers: Sequence[Row], techniques: Sequence[Row], workloads: Sequence[Row]) -> dict[str, str | None]:
    """{technique: why it cannot be chosen for this device, model and workload, or None}: None if one fitting device of a scheduler can.

    Without a scheduler, or for a device that none has, the answer is this machine's, which is in the rows.
    """
    own = {row["name"]: row["reason"] for row in techniques}
    offers = [(Device.from_json(d), s["availability"].get(d["id"], {})) for s in schedulers for d in s["devices"]]
    fitting = [(d, own | published) for d, published in offers if d.answers(wanted)]
    if not fitting:
        here = [d for d in local_devices() if d.answers(wanted)] or local_devices()
        fitting = [(d, own) for d in here[:1]]
    try:
        data, _ = written(workloads)
        model, workload = ModelSpec.model_validate(data["model"]), WorkloadSpec.model_validate(data["workload"]).build()
        chosen = [TechniqueSpec(**t).build() for t in ticked(techniques)[0]]
    except ValueError:  # what is wrong there is said at its field
        return own if not fitting else fitting[0][1]
    found = [api.choosable(device, model, workload, chosen, published) for device, published in fitting]
    return {name: None if any(f[name] is None for f in found) else found[0][name] for name in own}
