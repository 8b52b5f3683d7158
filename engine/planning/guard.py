"""The memory planner before an experiment is queued: a baseline that cannot fit is refused, of other variants one is warned.

That a variant does not fit is a result, so it is queued; a baseline that does not would leave nothing to compare with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.devices import Device
from engine.metrics import format_bytes
from engine.modelspec import ModelSpec
from engine.planning.architecture import architecture
from engine.planning.gpus import CONTEXT_BYTES
from engine.planning.planner import Plan, footprint, plan_of, weight_bytes
from engine.specs import ExperimentSpec, VariantSpec
from engine.technique import Technique, processes_of
from engine.workload import Workload


def does_not_fit(model: ModelSpec, stack: Sequence[Technique], workload: Workload, device: Device) -> str | None:
    """Why not even the smallest point can fit, in words; None if it may, or where there is no formula. On a CPU only weights are looked at:
    the rest of the prediction is what a GPU's allocator counts."""
    try:
        sizes = architecture(model)
        held = footprint(sizes, stack)
    except ValueError:
        return None
    has = device.memory_bytes // device.gpus  # all of it: what is refused must be sure not to fit
    if device.kind == "cuda" and (plans := _plans(model, stack, workload, device)):
        least = min(plans, key=lambda p: p.peak_memory_bytes)
        if least.peak_memory_bytes > has:
            weights = format_bytes(least.components.weights)
            return f"it needs {format_bytes(least.peak_memory_bytes)} at its smallest point, {weights} of it weights; {_offer(device, has)}"
    elif (needed := weight_bytes(sizes, held)) > has:
        return f"its weights alone need {format_bytes(needed)}; {_offer(device, has)}"
    return None


def warnings(spec: ExperimentSpec, devices: Sequence[Device]) -> list[str]:
    """A sentence for each variant of which some point does not fit, by prediction, on any GPU that the experiment may run on."""
    workload = spec.workload.build()
    found = []
    for variant in spec.variants:
        for device in (d for d in devices if d.kind == "cuda" and d.answers(spec.device)):
            plans, has = _plans(spec.model, variant.build(), workload, device), device.memory_bytes // device.gpus - CONTEXT_BYTES
            if too_large := [p for p in plans if p.peak_memory_bytes > has]:
                first = min(too_large, key=lambda p: p.peak_memory_bytes)
                where = ", ".join(f"{k} {v}" for k, v in first.load.point.items())
                found.append(f"{variant.name}: predicted not to fit from {where} on: {format_bytes(first.peak_memory_bytes)}; {_offer(device, has)}")
                break
    return found


@dataclass(frozen=True)
class Predicted:
    """What a variant is predicted to hold at the most demanding point. bytes_: None where there is no formula; `text` then says why.

    fits: None where it cannot be said.
    """

    variant: str
    bytes_: int | None
    fits: bool | None
    text: str


def predicted(spec: ExperimentSpec, devices: Sequence[Device]) -> list[Predicted]:
    """One per variant, on the largest device that the experiment may run on. On a CPU weights alone: the rest is what a GPU's allocator counts."""
    fitting = sorted((d for d in devices if d.answers(spec.device)), key=lambda d: d.memory_bytes)
    device = fitting[-1] if fitting else None
    return [_predicted(spec, variant, device) for variant in spec.variants]


def _predicted(spec: ExperimentSpec, variant: VariantSpec, device: Device | None) -> Predicted:
    workload, stack = spec.workload.build(), variant.build()
    try:
        sizes = architecture(spec.model)
        weights = weight_bytes(sizes, footprint(sizes, stack))
    except ValueError as error:
        return Predicted(variant.name, None, None, str(error).partition(": ")[2] or str(error))
    plans = _plans(spec.model, stack, workload, device) if device and device.kind == "cuda" else []
    if not plans or device is None:
        fits = None if device is None else weights <= device.memory_bytes // device.gpus
        return Predicted(variant.name, weights, fits, "weights alone")
    most, has = max(plans, key=lambda p: p.peak_memory_bytes), device.memory_bytes // device.gpus - CONTEXT_BYTES
    where = ", ".join(f"{k} {v}" for k, v in most.load.point.items())
    return Predicted(variant.name, most.peak_memory_bytes, most.peak_memory_bytes <= has, f"peak at {where}; {_offer(device, has)}")


def _plans(model: ModelSpec, stack: Sequence[Technique], workload: Workload, device: Device) -> list[Plan]:
    """Of every point that a formula covers."""
    try:
        sizes = architecture(model)
        held = footprint(sizes, stack)
        return [plan_of(sizes, held, load, processes_of(stack, device) or 1) for load in workload.loads()]
    except ValueError:
        return []


def _offer(device: Device, has: int) -> str:
    return f"{device.name} has {format_bytes(has)} for it"
