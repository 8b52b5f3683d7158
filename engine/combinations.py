"""Which techniques cannot be in one stack, asked of the techniques themselves: of their slots, environments and reasons.

Asked of devices as there could be, with all packages, so that the answer does not depend on this machine. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.devices import Device
from engine.modelspec import ModelSpec
from engine.registry import Registry, discover
from engine.technique import Slot, Technique, impossible_stack, ordered_stack
from engine.workload import Workload

_CPU = Device("cpu", "cpu", "a CPU", "somewhere", 64 * 2**30)
_GPU = Device("cuda:0", "cuda", "a GPU", "somewhere", 80 * 2**30, (9, 0), "GPU-0")
_GPUS = Device("cuda:all", "cuda", "GPUs", "somewhere", 160 * 2**30, (9, 0), "GPU-0,GPU-1", ("cuda:0", "cuda:1"))
_MODEL = ModelSpec(source="local", name="any")


@dataclass(frozen=True)
class Conflict:
    """others: names of techniques, in alphabetical order. reason: why none of them can be in a stack with the one asked about."""

    others: tuple[str, ...]
    reason: str


def conflicts(name: str, found: Registry | None = None) -> list[Conflict]:
    """Everything that cannot be combined with a technique, by reason, with default options; options of theirs may forbid more."""
    found = found or discover()
    chosen = found.techniques[name]()
    by_reason: dict[str, list[str]] = {}
    for other, cls in found.techniques.items():
        if other != name and (reason := _reason(chosen, cls(), found)) is not None:
            by_reason.setdefault(reason, []).append(other)
    return [Conflict(tuple(sorted(others)), reason) for reason, others in by_reason.items()]


def _reason(a: Technique, b: Technique, found: Registry) -> str | None:
    if a.slot is b.slot:
        return f"they take the same slot, {a.slot.value.replace('_', ' ')}"
    if {a.phase, b.phase} == {"inference", "training"}:
        return "one is for inference, the other for training"
    try:
        ordered_stack([a, b])
    except ValueError as error:
        return str(error).removeprefix("stack: ").replace("; keep one of them", "")
    refused: list[str] = []
    for workload in _workloads(found.workloads, (a, b)):
        for device in (_CPU, _GPU, _GPUS):
            if any(_impossible((t,), device, workload, found) for t in (a, b)):
                continue
            if (reason := _impossible((a, b), device, workload, found)) is None:
                return None
            refused.append(reason)
    return refused[0] if refused else "no device can run both"


def _workloads(known: Mapping[str, type[Workload]], stack: Sequence[Technique]) -> list[Workload]:
    """Generating and training, as far as these techniques have an effect there; in place of them whatever there is."""
    phases = {t.phase for t in stack}
    wanted = [n for n, phase in (("generation", "inference"), ("training_step", "training")) if n in known and phases <= {"any", phase}]
    return [known[n]() for n in wanted or sorted(known)[:1]]


def _impossible(stack: Sequence[Technique], device: Device, workload: Workload, found: Registry) -> str | None:
    """Without an adapter nothing can be trained whose weights take no gradients: that is no conflict of the two, so one is added."""
    needs_adapter = workload.trains and any(t.freezes_weights for t in stack) and not any(t.slot is Slot.ADAPTER for t in stack)
    adapter = next((cls() for cls in found.techniques.values() if cls.slot is Slot.ADAPTER), None) if needs_adapter else None
    whole = ordered_stack([*stack, adapter] if adapter else stack)
    return impossible_stack(whole, device, _MODEL, workload)
