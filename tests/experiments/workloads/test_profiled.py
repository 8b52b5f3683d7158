"""Every workload names a step to profile, and the step can be profiled on a tiny model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine import settings
from engine.devices import find_device
from engine.loading import load_session
from engine.measurement import Status
from engine.modelspec import Head, ModelSpec
from engine.presets import parse_spec
from engine.profiler import profile_call
from engine.profiles import Profile, is_matrix_product, read_profile, trace_file
from engine.registry import discover
from engine.specs import RunKind
from engine.workload import Workload
from tests.experiments.workloads.conftest import Run, spec_of

SMALL: dict[str, dict[str, Any]] = {
    "generation": {"prompt_tokens": 16, "new_tokens": 4, "batch_sizes": [2]},
    "training_step": {"seq_len": 16, "batch_sizes": [2]},
    "classification": {"examples": 16, "batch_size": 8, "max_length": 64},
    "encoder_forward": {"batch_sizes": [2], "sequence_lengths": [16]},
    "multiple_choice": {"examples": 8},
    "attention_kernel": {"seq_lens": [32, 64], "batch": 1, "heads": 2},
    "checkpointing_memory": {"layers": 4, "width": 16, "batch": 8},
}
MODEL = {Head.CLASSIFIER: "tiny-bert", Head.ENCODER: "tiny-bert", Head.CAUSAL_LM: "tiny-llama"}


@pytest.mark.parametrize("name", list(discover().workloads))
def test_every_workload_can_be_profiled(name: str, tiny_models: Path, texts: Path, tmp_path: Path) -> None:
    workload = discover().workload(name, SMALL.get(name, {}))
    local = MODEL.get(workload.head)
    model = ModelSpec(source="local", name=local) if local else ModelSpec(source="none", name="none")
    session = load_session(model, [], find_device("cpu"), 0, tiny_models, tiny_models, texts, workload)
    step = workload.profiled(session)
    assert step is not None, "say in `profiled` what one step is"
    found = profile_call(step.call, step.what, "cpu", tmp_path)
    assert any(is_matrix_product(o.name) for o in found.operators) and found.cpu_seconds_total > 0
    assert found.shares is not None and found.shares["matrix_products"] > 0 and found.trace.sha256


def test_a_profile_run_leaves_its_numbers_and_its_trace_and_measures_nothing_else(run: Run) -> None:
    spec = parse_spec(spec_of("local:tiny-llama", "training_step", "gradient_checkpointing", **SMALL["training_step"]).model_dump() | {"profile": True})
    result = run(spec, 1, RunKind.PROFILE)
    assert (result.status, result.reason) == (Status.SUCCEEDED, None)
    assert result.measurements == () and result.evidence["gradient_checkpointing"]["problem"] is None
    found = read_profile({"status": result.status.value, "reason": None, "details": result.details})
    assert isinstance(found, Profile)
    assert {"forward", "backward", "optimizer"} <= {r.name for r in found.regions}
    trace = trace_file(settings.artifacts_dir(), found.trace)
    assert trace is not None and trace.is_file()


def test_a_workload_without_a_step_says_so(tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.meter import Meter
    from engine.run_spec import run_spec
    from engine.specs import PlannedRun
    from engine.worker import _profile

    cls = discover().workloads["attention_kernel"]
    monkeypatch.setattr(cls, "profiled", Workload.profiled)
    spec = spec_of("none", "attention_kernel", **SMALL["attention_kernel"])
    cpu, result = find_device("cpu"), {"evidence": {}, "details": {}}  # type: Any, dict[str, Any]
    _profile(run_spec(spec, PlannedRun(0, 0, RunKind.PROFILE), cpu), (), cpu, Meter(tmp_path, "cpu"), result)
    assert result["details"]["profile"] == {"not_measured": "the workload attention_kernel names no step to profile"}
