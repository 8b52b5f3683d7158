"""What the dashboard and the CLI ask of the engine: the catalogue as plain rows, and submitting an experiment.

Imports no torch, and the database only to submit: a machine that only measures has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from engine import settings
from engine.catalogue import BUNDLED, SHAPES
from engine.devices import Device, local_devices
from engine.modelspec import NO_MODEL, ModelSpec
from engine.planning import guard
from engine.presets import load_spec, preset_names
from engine.record import new_record
from engine.registry import discover
from engine.specs import ExperimentSpec, expand, new_id
from engine.technique import Technique, impossible, unsupported_stack
from engine.workload import Workload

if TYPE_CHECKING:
    from sqlalchemy import Engine


def submit(
    db: Engine, spec: ExperimentSpec, request_key: str | None = None, devices: Sequence[Device] | None = None, owner: str | None = None,
    private: bool = False,
) -> str:  # fmt: skip
    """Queue an experiment and return its id; the same request key again returns the first id.

    devices: what the schedulers offer; this machine's where not given. owner: who made it; who runs this process where not given.
    private: seen by its owner and by admins only.
    Raises ValueError naming the field and the fix.
    """
    from db import queue

    check(spec, local_devices() if devices is None else devices)
    record = new_record(spec)
    return queue.submit(
        db,
        experiment={k: record["experiment"][k] for k in ("id", "title", "spec", "source", "device")}
        | {"request_key": request_key or new_id(), "owner": owner or settings.user(), "private": private},
        variants=record["variants"],
        runs=[{"variant": r.variant, "round": r.round, "kind": r.kind.value} for r in expand(spec)],
    )


def check(spec: ExperimentSpec, devices: Sequence[Device]) -> None:
    """Refuse what cannot work before anything is queued. Raises ValueError."""
    model = model_row(spec.model)
    if not model["available"]:
        raise ValueError(f"model: {model['reason']}")
    positions = positions_of(spec.model)
    workload = spec.workload.build()
    if reason := workload.unsuitable_model(spec.model):
        raise ValueError(f"model: {reason}")
    if problem := workload.unusable_data(settings.texts_dir()):
        raise ValueError(problem)
    if positions is not None and workload.positions_needed() > positions:
        raise ValueError(
            f"workload: it needs {workload.positions_needed()} tokens of context, {spec.model} has {positions}; "
            "make prompt_tokens + new_tokens (and quality_context) smaller"
        )
    fitting = [d for d in devices if d.answers(spec.device)]
    if not fitting and spec.device not in ("cpu", "cuda"):
        known = ", ".join(sorted({d.key for d in devices} | {"cpu", "cuda"}))
        raise ValueError(f"device: nothing offers {spec.device!r}; choose one of {known}")
    baseline = spec.variants[0].build()
    for device in fitting:
        if reason := unsupported_stack(baseline, device, spec.model, workload) or guard.does_not_fit(spec.model, baseline, workload, device):
            raise ValueError(f"baseline: {spec.baseline} cannot run on {device.id}: {reason}; choose another baseline")


def positions_of(model: ModelSpec) -> int | None:
    known = BUNDLED.get(model.name) if model.source == "bundled" else SHAPES.get(model.name) if model.source == "shape" else None
    return known.positions if known else None


def models() -> list[dict[str, Any]]:
    """Bundled models, shapes and local directories, as rows with `available` and `reason`."""
    rows = [model_row(ModelSpec(source="bundled", name=n)) for n in BUNDLED]
    rows += [model_row(ModelSpec(source="shape", name=n)) for n in SHAPES]
    rows.append(model_row(ModelSpec(source="none", name=NO_MODEL)))
    root = settings.local_models_dir()
    if root.is_dir():
        names = sorted(p.name for p in root.iterdir() if (p / "config.json").is_file())
        rows += [model_row(ModelSpec(source="local", name=n)) for n in names]
    return rows


def model_row(model: ModelSpec) -> dict[str, Any]:
    """One model of any source as a row; `parameters` and `dtype` are None where only loading could tell."""
    row: dict[str, Any] = {
        "name": str(model), "source": model.source, "parameters": None, "available": True, "reason": None,
        "label": model.name, "note": "", "dtype": None,
    }  # fmt: skip
    if model.source == "bundled":
        known = BUNDLED[model.name]
        row |= {"label": known.label, "parameters": known.parameters, "dtype": known.dtype, "note": known.note}
        if not (settings.bundled_models_dir() / model.name / "config.json").is_file():
            row |= {"available": False, "reason": f"{model.name} has not been fetched: python -m engine.bundled {model.name}"}
    elif model.source == "shape":
        shape = SHAPES[model.name]
        row |= {"label": shape.label, "parameters": shape.parameters, "dtype": shape.dtype,
                "note": "Random weights: speed and memory only, quality is not reported."}
    elif model.source == "none":
        row |= {"label": "no model", "parameters": 0, "note": "For workloads that measure a kernel alone."}
    elif model.source == "local" and not (settings.local_models_dir() / model.name / "config.json").is_file():
        row |= {"available": False, "reason": f"there is no model directory {model.name!r} in {settings.local_models_dir()}"}
    return row


def availability(devices: Sequence[Device]) -> dict[str, dict[str, str | None]]:
    """{device id: {technique: reason or None}} on this machine, for default options, generating or training with a model of which
    nothing is known: what a technique says of one model must not take it off the form for all others."""
    found = discover()
    use = {phase: found.workload("training_step" if phase == "training" else "generation") for phase in ("any", "inference", "training")}
    model = ModelSpec(source="local", name="any")
    return {d.id: {name: _reason(cls(), d, model, use[cls.phase]) for name, cls in found.techniques.items()} for d in devices}


def _reason(technique: Technique, device: Device, model: ModelSpec, workload: Workload) -> str | None:
    reason = unsupported_stack([technique], device, model, workload)
    return reason.removeprefix(f"{technique.name}: ") if reason else None


def choosable(
    device: Device, model: ModelSpec, workload: Workload, chosen: Sequence[Technique], published: dict[str, str | None]
) -> dict[str, str | None]:
    """{technique: why it cannot be chosen for this model and workload on this device, or None}.

    published: what the device's machine says of each, packages included. A technique that needs another beside it (4-bit weights that
    are trained need an adapter) can be chosen when that is among the chosen.
    """
    reasons = {}
    for name, cls in discover().techniques.items():
        alone = impossible(technique := cls(), [technique], device, model, workload)
        beside = impossible(technique, [*(t for t in chosen if t.slot != cls.slot), technique], device, model, workload) if alone and chosen else alone
        reasons[name] = published.get(name) or (alone if beside else None)
    return reasons


def techniques(reasons: dict[str, str | None] | None = None) -> list[dict[str, Any]]:
    """Every technique as a row. reasons: {technique: reason or None} of the device in question; this machine's where not given.

    A technique is available here if any device of this machine can run it.
    """
    if reasons is None:
        by_device = availability(local_devices())
        reasons = {
            name: None if any(r[name] is None for r in by_device.values()) else next(iter(by_device.values()))[name]
            for name in discover().techniques
        }
    return [
        {
            "name": name, "label": cls.label, "family": cls.family, "slot": cls.slot.value,
            "available": reasons.get(name) is None, "reason": reasons.get(name), "options": cls.model_json_schema(),
            "summary": (cls.__doc__ or "").strip().splitlines()[0], "costs": cls.costs, "reference": cls.reference,
        }
        for name, cls in discover().techniques.items()
    ]  # fmt: skip


def workloads() -> list[dict[str, Any]]:
    """Every workload as a row of the same shape."""
    return [
        {"name": n, "label": c.label, "family": "workload", "slot": None, "available": True, "reason": None,
         "options": c.model_json_schema(), "summary": (c.__doc__ or "").strip().splitlines()[0]}
        for n, c in discover().workloads.items()
    ]  # fmt: skip


def presets() -> list[dict[str, Any]]:
    """Every preset: name, title, and its spec as JSON data."""
    specs = {n: load_spec(n) for n in preset_names()}
    return [{"name": n, "title": s.title, "spec": s.model_dump(mode="json")} for n, s in specs.items()]
