"""The kernel workload through the real child: numbers that agree with each other, a length that does not fit, no model anywhere."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from typer.testing import CliRunner

from engine import api
from engine.cli import app
from engine.devices import find_device
from engine.executor import LocalExecutor
from engine.loading import load_session
from engine.measurement import Measurement, RunResult, Status
from engine.modelspec import ModelSpec
from engine.presets import parse_spec
from engine.registry import discover
from engine.run_spec import run_spec
from engine.specs import ExperimentSpec, PlannedRun, RunKind, expand
from tests.engine.changed_worker import ChangedExecutor

SMALL = {"seq_lens": [64, 32, 128], "batch": 2, "heads": 4, "head_dim": 32, "repeats": 2, "warmups": 1}
CPU = find_device("cpu")
Measured = dict[tuple[str, Any], Measurement]


def spec(*variants: Any, model: str = "none", **options: Any) -> ExperimentSpec:
    return parse_spec({
        "title": "t", "model": model, "rounds": 3, "baseline": "standard", "variants": [{"name": "standard", "stack": []}, *variants],
        "workload": {"name": "attention_kernel", "options": SMALL | options},
    })  # fmt: skip


def run(tmp_path: Path, kind: RunKind = RunKind.SPEED, before: str | None = None, choice: dict[str, Any] | None = None,
        **options: Any) -> tuple[RunResult, Measured]:
    """One run; `choice`: options of the attention technique, the baseline where there is none."""
    extra = [] if choice is None else [{"name": "variant", "stack": [{"technique": "attention", "options": choice}]}]
    asked = spec(*extra, **options)
    executor = ChangedExecutor(before) if before else LocalExecutor()
    planned = PlannedRun(len(asked.variants) - 1, 0, kind)
    handle = executor.start(run_spec(asked, planned, CPU), tmp_path / f"run{time.monotonic_ns()}", device=CPU)
    while (result := executor.poll(handle)) is None:
        time.sleep(0.05)
    return result, {(m.metric, m.point.get("seq_len")): m for m in result.measurements}


def workload(**options: Any) -> Any:
    return discover().workload("attention_kernel", SMALL | options)


def test_speed_run_of_standard_attention(tmp_path: Path) -> None:
    result, found = run(tmp_path)
    assert (result.status, result.reason) == (Status.SUCCEEDED, None)
    names = ("first_call_seconds", "kernel_seconds", "tflops_per_second", "ceiling_share", "extra_peak_bytes")
    assert set(found) == {(name, n) for name in names for n in (32, 64, 128)} | {("ceiling_tflops_per_second", None)}
    ceiling = found["ceiling_tflops_per_second", None].value
    for n in (32, 64, 128):
        seconds, rate, share = (found[name, n] for name in ("kernel_seconds", "tflops_per_second", "ceiling_share"))
        flops = 4 * 2 * 4 * n**2 * 32
        assert [flops / s / 1e12 for s in seconds.samples] == pytest.approx(rate.samples)
        assert [r / ceiling for r in rate.samples] == pytest.approx(share.samples)
        assert len(seconds.samples) == 2 and len(seconds.warmups) == 1
        assert found["first_call_seconds", n].samples == seconds.warmups


def test_the_fused_kernel_holds_no_scores_and_standard_attention_all_of_them(tmp_path: Path) -> None:
    big = {"seq_lens": [1024], "batch": 1, "heads": 8, "repeats": 1}
    scores = 8 * 1024**2 * 4
    standard, fused = (run(tmp_path, choice=choice, **big)[1]["extra_peak_bytes", 1024].value for choice in (None, {"kernel": "flash"}))
    assert scores <= standard < 4 * scores
    assert fused < scores / 2


def test_evidence_names_the_kernel_and_quality_is_measured_for_every_length(tmp_path: Path) -> None:
    result, found = run(tmp_path, RunKind.QUALITY, choice={"implementation": "tiled"}, causal=True)
    assert result.status is Status.SUCCEEDED, result.reason
    assert result.evidence["attention"]["problem"] is None and "aten::maximum" in result.evidence["attention"]["facts"]["kernels"]
    assert set(found) == {("attention_error", n) for n in (32, 64, 128)}
    for m in found.values():
        assert len(m.samples) == 2 * 4 and m.value == max(m.samples)
        assert 0 < m.value < 1e-6
    assert result.details["quality"]["reference"] == "float64"


def test_sixteen_bits_cost_exactness(tmp_path: Path) -> None:
    _, found = run(tmp_path, RunKind.QUALITY, dtype="bfloat16")
    assert all(1e-4 < m.value < 0.1 for m in found.values())


def test_forward_and_backward_through_layers(tmp_path: Path) -> None:
    result, found = run(tmp_path, choice={"kernel": "math"}, direction="forward_backward", layers=2, causal=True)
    assert result.status is Status.SUCCEEDED, result.reason
    flops = 4 * 2 * 4 * 128**2 * 32 * 2 * 0.5 * 3.5
    rates, seconds = (found[name, 128].samples for name in ("tflops_per_second", "kernel_seconds"))
    assert [rate * s for rate, s in zip(rates, seconds, strict=True)] == pytest.approx([flops / 1e12] * 2)


@pytest.mark.parametrize("kind", [RunKind.SPEED, RunKind.QUALITY])
def test_out_of_memory_at_a_length_keeps_the_shorter_ones(tmp_path: Path, kind: RunKind) -> None:
    """A real refusal: the kernel gives the process no more than 4 GB of addresses, one head of scores needs 16 GB."""
    limited = f"resource.setrlimit(resource.RLIMIT_AS, ({4 * 10**9},) * 2)"
    result, found = run(
        tmp_path, kind, before=limited, seq_lens=[64, 65536, 131072], batch=1, heads=1, head_dim=8, repeats=1
    )
    assert result.status is Status.SUCCEEDED, result.reason
    for name in ("attention_error",) if kind is RunKind.QUALITY else ("kernel_seconds", "extra_peak_bytes", "tflops_per_second", "ceiling_share"):
        assert found[name, 64].status is Status.SUCCEEDED and found[name, 64].value is not None
        for n, reason in ((65536, "seq len 65536: "), (131072, "not tried: seq len 65536 did not fit")):
            assert found[name, n].status is Status.OUT_OF_MEMORY and found[name, n].value is None
            assert (found[name, n].reason or "").startswith(reason)


def test_a_memory_cap_is_of_gpus_only(tmp_path: Path) -> None:
    result, _ = run(tmp_path, memory_cap_gib=40)
    assert result.status is Status.FAILED
    assert "memory_cap_gib: it works on a GPU only; leave it empty on a CPU" in (result.reason or "")


@pytest.mark.parametrize(("options", "flops"), [
    ({}, 4 * 2 * 4 * 100**2 * 32), ({"causal": True}, 2 * 2 * 4 * 100**2 * 32), ({"layers": 12}, 12 * 4 * 2 * 4 * 100**2 * 32),
    ({"direction": "forward_backward"}, 14 * 2 * 4 * 100**2 * 32),
])  # fmt: skip
def test_arithmetic_is_counted_as_the_papers_do(options: dict[str, Any], flops: float) -> None:
    assert workload(**options).flops(100) == flops


def test_inputs_are_the_same_for_all_variants_random_and_of_each_layer_its_own() -> None:
    session = load_session(ModelSpec(source="none", name="none"), [], CPU, 7, Path(), Path(), Path())
    kernel = workload(direction="forward_backward", dtype="float16")
    first, again, other = (kernel.tensors(session, 16, layer) for layer in (0, 0, 1))
    assert [t.shape for t in first] == [(2, 4, 16, 32)] * 4 and {t.dtype for t in first} == {torch.float16}
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0]) and not torch.equal(first[0], first[1])
    assert all(0.8 < float(t.float().std()) < 1.2 for t in first)


def test_lengths_are_sorted_and_a_model_is_refused() -> None:
    assert workload(seq_lens=[8, 2, 8]).seq_lens == (2, 8)
    with pytest.raises(ValueError, match="model: tiny-llama is a language model, this workload needs no model"):
        api.check(spec(model="tiny-llama"), [CPU])
    api.check(spec(), [CPU])


def test_quality_runs_are_planned_although_there_is_no_model() -> None:
    assert sum(r.kind is RunKind.QUALITY for r in expand(spec({"name": "v", "stack": ["attention"]}))) == 2


def test_a_whole_experiment_without_a_model_from_the_command_line(tmp_path: Path) -> None:
    """Every variant with its verdicts; what cannot run here is a result with its reason; no row of another workload's quality."""
    asked = spec(
        {"name": "flash", "stack": [{"technique": "attention", "options": {"kernel": "flash"}}]},
        {"name": "package", "stack": [{"technique": "attention", "options": {"implementation": "flash_attn_4"}}]},
    ).model_dump(mode="json")
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(asked | {"rounds": 1}))
    bundle = tmp_path / "x.json"
    done = CliRunner().invoke(app, ["run", str(tmp_path / "x.yaml"), "--json", "--bundle", str(bundle)])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    standard, flash, package = document["variants"]
    assert package["status"] == "unsupported" and "needs an NVIDIA GPU" in package["reason"]
    assert {m["metric"] for m in flash["metrics"]} == {
        "first_call_seconds", "kernel_seconds", "tflops_per_second", "ceiling_share", "ceiling_tflops_per_second", "extra_peak_bytes",
        "attention_error",
    }  # fmt: skip
    errors = [m for m in flash["metrics"] if m["metric"] == "attention_error"]
    assert [m["point"]["seq_len"] for m in errors] == [32, 64, 128] and all(m["ratio"] for m in errors)
    assert standard["status"] == flash["status"] == "succeeded" and bundle.stat().st_size > 1000
