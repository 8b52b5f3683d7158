"""The real child on a tiny model: every outcome ends as a result with a reason, and the numbers agree with each other."""

from __future__ import annotations

import gc
import shutil
import sys
import time
import weakref
from pathlib import Path
from typing import Any

import pytest

from engine import worker
from engine.code_version import commit
from engine.devices import Device, find_device
from engine.executor import LocalExecutor
from engine.measurement import Measurement, RunResult, Status
from engine.presets import parse_spec
from engine.registry import discover
from engine.run_spec import RunSpec, run_spec
from engine.specs import PlannedRun, RunKind
from engine.worker import unseen_memory
from tests.engine.changed_worker import ChangedExecutor

SMALL = {"prompt_tokens": 16, "new_tokens": 6, "repeats": 3, "quality_tokens": 256, "quality_context": 128}


@pytest.fixture(autouse=True)
def local_models(tiny_model_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_MODELS", str(tiny_model_root))


def planned(kind: RunKind, variant: str | dict[str, Any], device: Device, model: str = "local:tiny", baseline: str = "float32",
            **options: Any) -> RunSpec:
    extra = [] if variant == baseline else [{"name": "variant", "stack": [variant]}]
    spec = parse_spec({
        "title": "t", "model": model, "baseline": baseline, "variants": [baseline, *extra],
        "workload": {"options": SMALL | options},
    })  # fmt: skip
    return run_spec(spec, PlannedRun(len(spec.variants) - 1, 0, kind), device)


def worker_after(statement: str) -> tuple[str, ...]:
    """The command of the real child in a new process that is first changed by a statement: for what a fork of a template would not show."""
    return sys.executable, "-c", f"import runpy, resource; {statement}; runpy.run_module('engine.worker', run_name='__main__')"


def run(tmp_path: Path, kind: RunKind = RunKind.SPEED, variant: str | dict[str, Any] = "float32", device: Device | None = None,
        model: str = "local:tiny", before: str | None = None, baseline: str = "float32", **options: Any) -> RunResult:
    """before: a statement that the real child runs first."""
    device = device or find_device("cpu")
    executor = ChangedExecutor(before) if before else LocalExecutor()
    spec = planned(kind, variant, device, model, baseline, **options)
    handle = executor.start(spec, tmp_path / f"run{time.monotonic_ns()}", device=device)
    while (result := executor.poll(handle)) is None:
        time.sleep(0.05)
    return result


FOUR_GB = f"resource.setrlimit(resource.RLIMIT_AS, ({4 * 10**9},) * 2)"


def by_name(result: RunResult) -> dict[str, Measurement]:
    return {m.metric: m for m in result.measurements}


def test_speed_run(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert (result.status, result.reason) == (Status.SUCCEEDED, None)
    found = by_name(result)
    assert set(found) == {
        "load_seconds", "load_peak_memory_bytes", "weight_bytes", "bits_per_parameter", "first_call_seconds", "ttft_seconds",
        "inter_token_latency_seconds", "prefill_tokens_per_second", "decode_tokens_per_second", "generation_seconds", "kv_cache_bytes",
        "peak_memory_bytes",
    }, "and no time of compiling where nothing is compiled"  # fmt: skip
    assert all(m.point == {} or m.point == {"batch": 1, "prompt_tokens": 16, "new_tokens": 6} for m in result.measurements)
    ttft, prefill = found["ttft_seconds"], found["prefill_tokens_per_second"]
    assert [16 / t for t in ttft.samples] == pytest.approx(prefill.samples)
    itl, decode = found["inter_token_latency_seconds"], found["decode_tokens_per_second"]
    assert [1 / t for t in itl.samples] == pytest.approx(decode.samples)
    assert len(ttft.samples) == 3 and 1 <= len(ttft.warmups) <= 4
    # 2 layers x (K, V) x 2 heads x 16 dimensions x 21 tokens x 4 bytes
    assert found["kv_cache_bytes"].value == 2 * 2 * 2 * 16 * (16 + 6 - 1) * 4
    assert found["peak_memory_bytes"].value > found["weight_bytes"].value > 100_000
    assert found["bits_per_parameter"].value == pytest.approx(32, rel=0.001)
    assert result.details["code"] == commit()
    assert result.evidence["float32"]["problem"] is None
    assert result.environment["packages"]["torch"] and result.environment["threads"] >= 1


def test_quality_run_of_baseline_then_variant(tmp_path: Path) -> None:
    base = run(tmp_path, RunKind.QUALITY)
    assert set(by_name(base)) == {"perplexity"}
    other = run(tmp_path, RunKind.QUALITY, "bnb_4bit")
    assert other.status is Status.SUCCEEDED, other.reason
    found = by_name(other)
    assert found["kl_divergence"].value > 0
    assert found["top1_agreement"].value < 1
    assert len(found["perplexity"].samples) == 2


def test_quality_run_without_the_baselines_logits_makes_them(tmp_path: Path, own_data: Path) -> None:
    alone = run(tmp_path, RunKind.QUALITY, "bnb_4bit")
    assert alone.status is Status.SUCCEEDED, alone.reason
    assert len(list((own_data / "artifacts").glob("*.npy"))) == 1
    run(tmp_path, RunKind.QUALITY)
    assert len(list((own_data / "artifacts").glob("*.npy"))) == 1, "the baseline found the file that the variant had made"


def no_fidelity(result: RunResult, reason: str) -> None:
    assert result.status is Status.SUCCEEDED, result.reason
    found = by_name(result)
    assert found["perplexity"].value
    for name in ("kl_divergence", "top1_agreement"):
        assert found[name].status is Status.FAILED and found[name].value is None
        assert (found[name].reason or "").startswith("the baseline's logits could not be computed: ")
        assert reason in (found[name].reason or "")


def test_broken_baseline_leaves_the_variant_its_perplexity(tmp_path: Path, tiny_model_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Embeddings that no float16 can hold: the float16 baseline computes nan, the float32 variant is well."""
    from safetensors.numpy import load_file, save_file

    weights = shutil.copytree(tiny_model_root / "tiny", tmp_path / "models" / "huge") / "model.safetensors"
    monkeypatch.setenv("LAB_MODELS", str(tmp_path / "models"))
    tensors = load_file(weights)
    tensors["model.embed_tokens.weight"] = tensors["model.embed_tokens.weight"] * 1e8
    save_file(tensors, weights, metadata={"format": "pt"})
    base = run(tmp_path, RunKind.QUALITY, "float16", model="local:huge", baseline="float16")
    assert base.status is Status.FAILED and "not numbers" in (base.reason or "")
    no_fidelity(run(tmp_path, RunKind.QUALITY, "float32", model="local:huge", baseline="float16"), "outputs are not numbers")


@pytest.mark.case("T18")
def test_disk_that_refuses_the_logits(tmp_path: Path) -> None:
    """A real refusal: no file may grow beyond 150 kB, the logits take twice that."""
    limited = "resource.setrlimit(resource.RLIMIT_FSIZE, (150_000,) * 2)"
    base = run(tmp_path, RunKind.QUALITY, before=limited)
    assert base.status is Status.SUCCEEDED, base.reason
    assert set(by_name(base)) == {"perplexity"}
    assert "could not be kept: [Errno 27]" in base.details["quality_reference"]
    no_fidelity(run(tmp_path, RunKind.QUALITY, "bfloat16", before=limited), "[Errno 27]")


def test_failed_baseline_is_freed_before_the_variant_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine import loading
    from engine.quality import QualityReference
    from engine.worker import _write_reference

    loaded: list[weakref.ref[Any]] = []

    def load_session(*args: Any) -> Any:
        session = real(*args)
        loaded.append(weakref.ref(session.model))
        return session

    real = loading.load_session
    monkeypatch.setattr(loading, "load_session", load_session)
    (tmp_path / "file").touch()
    cpu = find_device("cpu")
    problem = _write_reference(planned(RunKind.QUALITY, "bfloat16", cpu), cpu, QualityReference(tmp_path / "file", {}, is_baseline=False))
    gc.collect()
    assert "FileExistsError" in (problem or "")
    assert [model() for model in loaded] == [None]


def test_other_versions_have_other_logits(tmp_path: Path, own_data: Path) -> None:
    for package in ("transformers", "bitsandbytes", "torchao"):
        newer = f"property(lambda d: real(d) + ('.1' if d.name == {package!r} else ''))"
        pretend = f"import importlib.metadata as m; real = m.Distribution.version.fget; m.PathDistribution.version = {newer}"
        assert run(tmp_path, RunKind.QUALITY, before=pretend).status is Status.SUCCEEDED
    assert len(list((own_data / "artifacts").glob("*.npy"))) == 3


def test_cache_off_holds_nothing(tmp_path: Path) -> None:
    result = run(tmp_path, variant={"technique": "kv_cache", "options": {"mode": "off"}})
    assert by_name(result)["kv_cache_bytes"].value == 0
    assert result.evidence["kv_cache"]["facts"] == {"cache": None}


def test_compiling_is_timed_apart(tmp_path: Path) -> None:
    result = run(tmp_path, variant="torchscript", quality_tokens=0)
    assert result.status is Status.SUCCEEDED, result.reason
    found = by_name(result)["compile_seconds"]
    assert found.point == {} and found.value is not None and found.value > 0


def test_a_runtime_with_gpu_memory_of_its_own_has_no_peak_there() -> None:
    gpu = Device("cuda:0", "cuda", "a GPU", "here", 2**37, (9, 0), "GPU-0")
    stack = (discover().technique("onnxruntime"),)
    assert (unseen_memory(stack, gpu) or "").startswith("ONNX Runtime takes GPU memory of its own, past the allocator of PyTorch")
    assert unseen_memory(stack, find_device("cpu")) is None, "there the whole process is counted"
    assert unseen_memory((discover().technique("bnb_4bit"),), gpu) is None


def test_unsupported_is_a_result_and_ends_before_torch(tmp_path: Path) -> None:
    gpu = Device("cuda:0", "cuda", "no such GPU", "here", 2**30, (9, 0), "GPU-none")
    result = run(tmp_path, variant="torch_dynamic_int8", device=gpu)
    assert result.status is Status.UNSUPPORTED
    assert "CPUs only" in (result.reason or "")
    assert result.environment == {}, "nothing was imported that could have told"


def test_missing_model_fails_with_the_fix(tmp_path: Path) -> None:
    result = run(tmp_path, model="local:nothing")
    assert result.status is Status.FAILED
    assert "put its directory below" in (result.reason or "")


def test_more_context_than_the_model_has(tmp_path: Path) -> None:
    result = run(tmp_path, RunKind.QUALITY, quality_tokens=1024, quality_context=1024)
    assert result.status is Status.FAILED
    assert "the model has 512 positions" in (result.reason or "")


SLOWING = (
    "import math, time; real, begin = time.perf_counter, time.perf_counter(); "
    "time.perf_counter = lambda: math.exp(4 * (real() - begin))"
)  # fmt: skip


def test_a_run_that_slows_down_while_it_is_timed_says_so(tmp_path: Path) -> None:
    result = run(tmp_path, before=SLOWING, repeats=24, new_tokens=16)
    assert result.status is Status.SUCCEEDED, result.reason
    found = {d["metric"]: d["change"] for d in result.details["drifting"]}
    assert found["ttft_seconds"] > 0.05 and found["decode_tokens_per_second"] < -0.05


def test_several_batches_are_points(tmp_path: Path) -> None:
    result = run(tmp_path, batch_sizes=[4, 1])
    decode = [m for m in result.measurements if m.metric == "decode_tokens_per_second"]
    assert [m.point["batch"] for m in decode] == [1, 4]
    assert sum(m.metric == "first_call_seconds" for m in result.measurements) == 1


@pytest.mark.case("T16")
def test_out_of_memory_at_a_batch_keeps_the_smaller_ones(tmp_path: Path) -> None:
    """A real refusal: the kernel gives the process no more than 4 GB of addresses."""
    result = run(tmp_path, batch_sizes=[1, 4096], prompt_tokens=480, new_tokens=2, repeats=1, before=FOUR_GB)
    assert result.status is Status.SUCCEEDED, result.reason
    decode = {m.point["batch"]: m for m in result.measurements if m.metric == "decode_tokens_per_second"}
    assert decode[1].status is Status.SUCCEEDED and decode[1].value
    assert decode[4096].status is Status.OUT_OF_MEMORY and decode[4096].value is None
    assert (decode[4096].reason or "").startswith("batch 4096, prompt tokens 480, new tokens 2: ")


def test_run_whose_every_batch_was_out_of_memory_did_not_succeed(tmp_path: Path) -> None:
    result = run(tmp_path, batch_sizes=[4096], prompt_tokens=480, new_tokens=2, repeats=1, before=FOUR_GB)
    assert result.status is Status.OUT_OF_MEMORY
    assert (result.reason or "").startswith("batch 4096, ")
    assert by_name(result)["weight_bytes"].value, "loading succeeded and stays"


def test_ranks_are_no_strangers_to_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rank that starts later sees the earlier one on its GPU; who else was there is what the process says that started both."""
    found = RunResult(Status.SUCCEEDED, details={"contended": "1 other process on the GPU before the run", "group": {"processes": 2}})
    monkeypatch.setattr(worker, "launch", lambda *args: time.sleep(0.05) or found)
    spec = planned(RunKind.SPEED, "float32", find_device("cpu"))
    result: dict[str, Any] = {"details": {}}
    worker._spread(spec, find_device("cpu"), tmp_path, 2, result)
    assert "contended" not in result["details"] and result["details"]["group"] == {"processes": 2}
    assert "cpu_share_of_others" in result["details"]
