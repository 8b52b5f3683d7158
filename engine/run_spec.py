"""What one child process is told: a planned run of an experiment, with the folders and CPUs of the machine that runs it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from engine import settings
from engine.devices import Device, usable_cpus
from engine.modelspec import ModelSpec
from engine.specs import ExperimentSpec, PlannedRun, RunKind, TechniqueSpec, WorkloadSpec


class RunSpec(BaseModel):
    """Everything a child process needs to know: the content of its spec.json. Paths are absolute.

    threads: what it computes with; threads_asked: what the experiment fixes, None where that is all CPUs of the machine.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: RunKind
    model: ModelSpec
    stack: tuple[TechniqueSpec, ...]
    baseline_stack: tuple[TechniqueSpec, ...]
    workload: WorkloadSpec
    device: dict[str, Any]
    seed: int
    threads: int
    threads_asked: int | None = None
    models_dir: str
    local_models_dir: str
    texts_dir: str
    artifacts_dir: str


def run_spec(spec: ExperimentSpec, planned: PlannedRun, device: Device) -> RunSpec:
    """The RunSpec of one planned run on one device of this machine."""
    baseline = next(v for v in spec.variants if v.name == spec.baseline)
    return RunSpec(
        kind=planned.kind,
        model=spec.model,
        stack=spec.variants[planned.variant].stack,
        baseline_stack=baseline.stack,
        workload=spec.workload,
        device=device.to_json(),
        seed=spec.seed,
        threads=spec.threads or usable_cpus(),
        threads_asked=spec.threads,
        **_folders(),
    )


def at_home(spec: RunSpec, device: Device) -> RunSpec:
    """The RunSpec that another machine made, with the folders and CPUs of this one."""
    return spec.model_copy(update={"device": device.to_json(), "threads": spec.threads_asked or usable_cpus(), **_folders()})


def _folders() -> dict[str, str]:
    return {
        "models_dir": str(settings.bundled_models_dir()), "local_models_dir": str(settings.local_models_dir()),
        "texts_dir": str(settings.texts_dir()), "artifacts_dir": str(settings.artifacts_dir()),
    }  # fmt: skip
