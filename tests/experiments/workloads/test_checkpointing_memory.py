"""Checkpointing over segment length through the real child: counted bytes are exact, and what does not fit is a point."""

from __future__ import annotations

import time
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
from engine.run_spec import run_spec
from engine.specs import PlannedRun, RunKind, expand
from experiments.workloads.checkpointing_memory import kept_bytes
from tests.engine.changed_worker import ChangedExecutor
from tests.experiments.workloads.conftest import spec_of

CPU = find_device("cpu")
NAMES = ("forward_backward_seconds", "extra_peak_bytes", "activation_bytes")
LARGE = {"layers": 6, "width": 64, "batch": 140_000, "repeats": 1, "warmups": 1}


def run(tmp_path: Path, before: str | None = None, **options: Any) -> tuple[RunResult, dict[tuple[str, Any], Measurement]]:
    executor = ChangedExecutor(before) if before else LocalExecutor()
    spec = spec_of("none", "checkpointing_memory", **LARGE | options)
    handle = executor.start(run_spec(spec, PlannedRun(0, 0, RunKind.SPEED), CPU), tmp_path / f"run{time.monotonic_ns()}", device=CPU)
    while (result := executor.poll(handle)) is None:
        time.sleep(0.05)
    return result, {(m.metric, m.point.get("checkpoint_every")): m for m in result.measurements}


def test_memory_is_counted_and_the_peak_falls(tmp_path: Path) -> None:
    """Six layers that keep four tensors each; in segments of two, two inputs and the eight tensors of one segment."""
    result, found = run(tmp_path, checkpoint_every=[2, 0])
    assert (result.status, result.reason) == (Status.SUCCEEDED, None)
    assert set(found) == {(name, every) for name in NAMES for every in (0, 2)}
    output = 4 * 64 * 140_000
    kept, peak = ({every: found[name, every].value / output for every in (0, 2)} for name in ("activation_bytes", "extra_peak_bytes"))
    assert kept[2] == 2 and 6 * 3.5 < kept[0] < 6 * 4.5
    assert peak[0] > 0.9 * kept[0], "at the peak all of them are there"
    assert kept[2] < peak[2] < 0.75 * peak[0]
    assert all(len(found["forward_backward_seconds", every].samples) == 1 for every in (0, 2))


def test_segments_keep_their_inputs_but_the_first() -> None:
    workload = discover().workload("checkpointing_memory", {"layers": 8, "width": 32, "batch": 64})
    session = load_session(ModelSpec(source="none", name="none"), [], CPU, 0, Path(), Path(), Path())
    x = workload.input(session)  # type: ignore[attr-defined]
    for every, segments in ((1, 8), (2, 4), (3, 3), (8, 1), (100, 1)):
        chain = workload.chain(session, every)  # type: ignore[attr-defined]
        assert kept_bytes(chain, x) == (segments - 1) * 4 * 64 * 32, "the first segment's input is the data"


def test_what_does_not_fit_is_a_point_and_the_others_are_measured(tmp_path: Path) -> None:
    """A real refusal: 1100 MiB of addresses more than torch has. Without checkpointing 10 layers keep over 1300, segments of 3 need half of it."""
    limited = (
        "pages = int(open('/proc/self/statm').read().split()[0]);"
        "resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 1100 * 2**20,) * 2)"
    )
    result, found = run(tmp_path, limited, checkpoint_every=[0, 3, 10], layers=10)
    assert result.status is Status.SUCCEEDED, result.reason
    for name in NAMES:
        assert found[name, 3].status is Status.SUCCEEDED and found[name, 3].value is not None
        for every in (0, 10):
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
