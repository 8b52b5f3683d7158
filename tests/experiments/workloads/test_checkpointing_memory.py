"""Checkpointing over segment length through the real child: counted bytes are exact, and what does not fit is a point."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.devices import find_device
from engine.executor import LocalExecutor
from engine.loading import load_session
from engine.measurement import Measurement, RunResult, Status
from engine.modelspec import ModelSpec
from engine.presets import load_spec
from engine.registry import discover
from engine.specs import PlannedRun, RunKind, expand, run_spec
from experiments.workloads.checkpointing_memory import kept_bytes
from tests.experiments.workloads.conftest import spec_of

CPU = find_device("cpu")
NAMES = ("forward_backward_seconds", "extra_peak_bytes", "activation_bytes")
SMALL = {"layers": 8, "width": 128, "batch": 2048, "repeats": 1, "warmups": 1}


def run(tmp_path: Path, command: Sequence[str] | None = None, **options: Any) -> tuple[RunResult, dict[tuple[str, Any], Measurement]]:
    executor = LocalExecutor(command) if command else LocalExecutor()
    spec = spec_of("none", "checkpointing_memory", **SMALL | options)
    handle = executor.start(run_spec(spec, PlannedRun(0, 0, RunKind.SPEED), CPU), tmp_path / f"run{time.monotonic_ns()}", device=CPU)
    while (result := executor.poll(handle)) is None:
        time.sleep(0.05)
    return result, {(m.metric, m.point.get("checkpoint_every")): m for m in result.measurements}


def test_memory_is_counted_and_falls(tmp_path: Path) -> None:
    result, found = run(tmp_path, checkpoint_every=[4, 0, 2, 100], repeats=2)
    assert (result.status, result.reason) == (Status.SUCCEEDED, None)
    assert set(found) == {(name, every) for name in NAMES for every in (0, 2, 4, 100)}
    output = 4 * 2048 * 128
    kept = {every: found["activation_bytes", every].value for every in (0, 2, 4, 100)}
    assert kept[2] == 3 * output and kept[4] == 1 * output and kept[100] == 0
    assert kept[0] > 8 * 3 * output, "norm, linear layer and GELU keep one each, dropout its mask"
    assert all(len(found["forward_backward_seconds", every].samples) == 2 for every in (0, 2, 4, 100))
    peak = {every: found["extra_peak_bytes", every].value for every in (0, 2, 100)}
    assert peak[0] > 0.9 * kept[0], "at the peak all of them are there"
    assert peak[2] < 0.75 * peak[0] and peak[100] > peak[2], "one segment of all layers holds everything again"


def test_what_does_not_fit_is_a_point_and_the_others_are_measured(tmp_path: Path) -> None:
    """A real refusal: 1 GB of addresses more than torch has. Without checkpointing 24 layers keep 1.6 GB, in segments of 4 a quarter."""
    limited = (
        "import resource, runpy, torch; pages = int(open('/proc/self/statm').read().split()[0]);"
        "resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 10**9,) * 2); runpy.run_module('engine.worker', run_name='__main__')"
    )
    result, found = run(tmp_path, (sys.executable, "-c", limited), checkpoint_every=[0, 4, 24], layers=24, width=32, batch=131_072)
    assert result.status is Status.SUCCEEDED, result.reason
    for name in NAMES:
        assert found[name, 4].status is Status.SUCCEEDED and found[name, 4].value is not None
        for every in (0, 24):
            assert found[name, every].status is Status.OUT_OF_MEMORY and found[name, every].value is None
            assert (found[name, every].reason or "").startswith(f"checkpoint_every {every}: ")


@pytest.mark.parametrize("every", [1, 3, 8])
def test_the_chain_is_the_same_for_every_segment_length(every: int) -> None:
    workload = discover().workload("checkpointing_memory", {"layers": 6, "width": 32, "batch": 16})
    session = load_session(ModelSpec(source="none", name="none"), [], CPU, 7, Path(), Path(), Path())
    x, gradients = workload.input(session), []  # type: ignore[attr-defined]
    for n in (0, every):
        chain = workload.chain(session, n)  # type: ignore[attr-defined]
        torch.manual_seed(1)
        gradients.append(torch.autograd.grad(chain(x).square().mean(), list(chain.parameters())))
    assert all(torch.allclose(a, b, rtol=0, atol=1e-6) for a, b in zip(*gradients, strict=True))


def test_counting_sees_each_storage_once_and_no_parameter() -> None:
    layer = torch.nn.Linear(8, 8)
    chain = torch.nn.Sequential(layer, torch.nn.ReLU(), torch.nn.Linear(8, 8))
    assert kept_bytes(chain, torch.randn(4, 8)) == 4 * 4 * 8, "the ReLU's output, which is also the next layer's input"


def test_the_preset_measures_without_checkpointing_too() -> None:
    spec = load_spec("checkpoint-every")
    assert 0 in spec.workload.options["checkpoint_every"]
    assert {r.kind for r in expand(spec)} == {RunKind.SPEED}, "no model, so no quality"
