"""The profiler on a real training step in this process: what it says is what torch's own tables say, and the trace is a Chrome trace."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from engine import profiler
from engine.devices import find_device
from engine.loading import load_session
from engine.modelspec import ModelSpec
from engine.profiler import STEP, keep_trace, profile_call, watch
from engine.profiles import Profile, trace_file
from engine.registry import discover
from engine.stamps import TokenRegions

WORKLOAD = discover().workload("training_step", {"seq_len": 32, "batch_sizes": [2], "accumulation": 2})


def training_call(root: Path) -> Any:
    session = load_session(ModelSpec(source="local", name="tiny"), [], find_device("cpu"), 0, root, root, root, WORKLOAD)
    step = WORKLOAD.profiled(session)
    assert step is not None and "2 x 2 sequences of 32 tokens" in step.what
    return step.call


@pytest.fixture(scope="module")
def seen(tiny_model_root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Profile, Any, dict[str, Any]]:
    """(the profile, torch's profiler that it was made from, the trace as it was kept)."""
    artifacts = tmp_path_factory.mktemp("artifacts")
    made: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(profiler, "watch", lambda call, device: made.append(watch(call, device)) or made[0])
        found = profile_call(training_call(tiny_model_root), "a step", "cpu", artifacts)
    path = trace_file(artifacts, found.trace)
    assert path is not None and path.stat().st_size == found.trace.size_bytes
    assert list((artifacts / "traces").iterdir()) == [path], "nothing unpacked is left"
    return found, made[0][0], json.loads(gzip.decompress(path.read_bytes()))


def test_the_trace_is_one_that_chrome_opens(seen: tuple[Profile, Any, dict[str, Any]]) -> None:
    """The Trace Event Format: an object with traceEvents, whose complete events have name, phase, start, duration, process and thread."""
    found, _, trace = seen
    complete = [e for e in trace["traceEvents"] if e["ph"] == "X"]
    assert len(complete) > 500
    for event in complete:
        assert isinstance(event["name"], str) and event["name"]
        assert isinstance(event["ts"], (int, float)) and isinstance(event["dur"], (int, float)) and event["dur"] >= 0
        assert {"pid", "tid"} <= event.keys()
    names = [e["name"] for e in complete]
    assert found.steps == 3 and names.count(STEP) == 3
    for region, per_step in (("forward", 2), ("backward", 2), ("optimizer", 1)):
        assert names.count(region) == found.steps * per_step, region
    assert "aten::mm" in names
    assert any("Input Dims" in e.get("args", {}) for e in complete), "shapes are recorded"


def test_regions_lie_within_their_step(seen: tuple[Profile, Any, dict[str, Any]]) -> None:
    _, _, trace = seen
    spans = {name: [(e["ts"], e["ts"] + e["dur"]) for e in trace["traceEvents"] if e["ph"] == "X" and e["name"] == name]
             for name in (STEP, "forward", "backward", "optimizer")}  # fmt: skip
    for name in ("forward", "backward", "optimizer"):
        assert all(any(a - 1 <= start and end <= b + 1 for a, b in spans[STEP]) for start, end in spans[name]), name


def test_operators_are_those_of_key_averages(seen: tuple[Profile, Any, dict[str, Any]]) -> None:
    found, torch_profiler, _ = seen
    rows = [r for r in torch_profiler.key_averages() if not r.is_user_annotation]
    rows.sort(key=lambda r: r.self_cpu_time_total, reverse=True)
    assert [(o.name, o.calls) for o in found.operators] == [(r.key, r.count) for r in rows[:30]]
    assert [o.cpu_seconds * 1e6 for o in found.operators] == pytest.approx([r.self_cpu_time_total for r in rows[:30]])
    assert [o.memory_bytes for o in found.operators] == [r.self_cpu_memory_usage for r in rows[:30]]
    assert found.operators_total == len(rows) > 30
    assert found.cpu_seconds_total * 1e6 == pytest.approx(sum(r.self_cpu_time_total for r in rows))
    assert any(o.memory_bytes > 0 for o in found.operators)


def test_shares_add_up_and_hold_the_operators(seen: tuple[Profile, Any, dict[str, Any]]) -> None:
    found, torch_profiler, _ = seen
    assert found.shares is not None and set(found.shares) == {"matrix_products", "memory_bound", "outside_operators"}
    assert sum(found.shares.values()) == pytest.approx(1)
    assert all(0 < share < 1 for share in found.shares.values())
    window = found.step_seconds * found.steps
    products = sum(r.self_cpu_time_total for r in torch_profiler.key_averages() if r.key in ("aten::mm", "aten::addmm", "aten::bmm")) / 1e6
    assert products / window <= found.shares["matrix_products"] * 1.001


def test_regions_are_named_with_all_that_they_call(seen: tuple[Profile, Any, dict[str, Any]]) -> None:
    found, _, _ = seen
    regions = {r.name: r for r in found.regions}
    assert {"forward", "backward", "optimizer"} <= set(regions) and STEP not in regions
    assert regions["forward"].calls == regions["backward"].calls == 6 and regions["optimizer"].calls == 3
    assert sum(regions[n].cpu_seconds for n in ("forward", "backward", "optimizer")) <= found.step_seconds * found.steps


def test_a_profile_goes_through_json(seen: tuple[Profile, Any, dict[str, Any]]) -> None:
    found, _, _ = seen
    assert Profile.model_validate(json.loads(json.dumps(found.model_dump(mode="json"), allow_nan=False))) == found


def test_timed_steps_have_no_regions(tiny_model_root: Path) -> None:
    """A region costs a little in every step, so it is there in a profile only."""
    session = load_session(ModelSpec(source="local", name="tiny"), [], find_device("cpu"), 0, *[tiny_model_root] * 3, WORKLOAD)
    assert session.training is not None
    session.training.start()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as watched:
        session.training.step([torch.tensor([[2, 3, 4, 5]])])
    assert not {"forward", "backward", "optimizer"} & {e.key for e in watched.key_averages()}


def test_a_runtime_that_is_not_torch_has_no_shares_on_a_cpu(tmp_path: Path) -> None:
    found = profile_call(lambda: torch.ones(3) + 1, "a call", "cpu", tmp_path, sees_operators=False)
    assert found.shares is None and "another runtime than torch" in str(found.shares_not_measured)
    assert "aten::add" in {o.name for o in found.operators} and found.trace.sha256


def test_too_large_a_trace_is_left_out_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiler, "LARGEST_TRACE_BYTES", 100)
    found = profile_call(lambda: torch.ones(3) + 1, "a call", "cpu", tmp_path)
    assert found.trace.sha256 is None and "at most 0 MiB are kept" in str(found.trace.absent)
    assert found.operators and list((tmp_path / "traces").iterdir()) == []


def test_old_traces_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiler, "TRACES_KEPT", 2)
    watched, _ = watch(lambda: torch.ones(3) + 1, "cpu")
    kept = []
    for _ in range(3):
        kept.append(keep_trace(watch(lambda: torch.ones(3) + 1, "cpu")[0], tmp_path))
    assert watched is not None
    there = {p.name for p in (tmp_path / "traces").iterdir()}
    assert there == {f"{t.sha256}.json.gz" for t in kept[1:]}


def test_slow_steps_are_profiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiler, "_SLOW_SECONDS", 0.0)
    calls = []
    _, steps = watch(lambda: calls.append(1), "cpu")
    assert steps == 1 and len(calls) == 3, "two of them before the one that counts"


def test_a_generation_is_one_prefill_and_a_decode_for_each_further_token(tiny_model_root: Path, tmp_path: Path) -> None:
    workload = discover().workload("generation", {"prompt_tokens": 16, "new_tokens": 20})
    session = load_session(ModelSpec(source="local", name="tiny"), [], find_device("cpu"), 0, *[tiny_model_root] * 3, workload)
    step = workload.profiled(session)
    assert step is not None
    found = profile_call(step.call, step.what, "cpu", tmp_path)
    assert {r.name: r.calls for r in found.regions} == {"prefill": found.steps, "decode": 7 * found.steps}
    assert found.what == "one generation of 8 tokens after 16, batch 1"


def test_token_regions_end_with_the_last_token() -> None:
    regions = TokenRegions(2)
    for _ in range(3):
        regions.put(None)
    assert regions._region is None
    regions.end()
