"""Before queueing: a baseline that cannot fit is refused, other variants are queued with a warning."""

from __future__ import annotations

from typing import Any

import pytest

from engine import api
from engine.devices import Device
from engine.planning import guard
from engine.presets import parse_spec


def gpu(gigabytes: float, count: int = 1) -> Device:
    members = tuple(f"cuda:{i}" for i in range(count)) if count > 1 else ()
    return Device("cuda:all" if members else "cuda:0", "cuda", "a GPU", "there", int(gigabytes * 1e9) * count, (9, 0), members=members)


def spec(**changes: Any) -> Any:
    base = {"title": "t", "model": "llama-7b", "device": "cuda", "baseline": "float16", "variants": ["float16"],
            "workload": {"options": {"batch_sizes": [1, 32], "prompt_tokens": 512}}}  # fmt: skip
    return parse_spec(base | changes)


def test_a_baseline_is_refused_where_not_even_its_smallest_point_fits() -> None:
    with pytest.raises(ValueError, match=r"^baseline: float16 cannot run on cuda:0: it needs 12\.9 GiB at its smallest point, 12\.6 GiB of it weights"):
        api.check(spec(), [gpu(13.6)])
    api.check(spec(), [gpu(14.5)])


def test_training_needs_more_than_its_weights() -> None:
    training = {"baseline": "bfloat16", "variants": ["bfloat16"], "workload": {"name": "training_step", "options": {"seq_len": 128}}}
    with pytest.raises(ValueError, match="it needs 62.8 GiB at its smallest point"):
        api.check(spec(**training), [gpu(60)])


def test_a_variant_that_does_not_fit_is_a_warning_with_its_point() -> None:
    found = guard.warnings(spec(variants=["float16", "float32", "bnb_4bit"]), [gpu(24)])
    assert [text.partition(":")[0] for text in found] == ["float16", "float32"]
    assert "from batch 32, prompt_tokens 512" in found[0] and "from batch 1, prompt_tokens 512" in found[1]
    assert guard.warnings(spec(), [gpu(141)]) == []


def test_each_gpu_of_several_counts_by_itself() -> None:
    shared = {"device": "cuda:all", "baseline": "bfloat16 + ddp", "variants": [{"name": "bfloat16 + ddp", "stack": ["bfloat16", "ddp"]}],
              "workload": {"name": "training_step", "options": {"seq_len": 128, "batch_sizes": [2]}}}  # fmt: skip
    with pytest.raises(ValueError, match="at its smallest point"):
        api.check(spec(**shared), [gpu(60, count=2)])


def test_what_has_no_formula_is_neither_refused_nor_warned_of() -> None:
    unknown = spec(variants=["float16", {"name": "offloaded", "stack": ["onnxruntime"]}])
    assert [t.partition(":")[0] for t in guard.warnings(unknown, [gpu(14)])] == ["float16"]
    baseline = spec(baseline="onnxruntime", variants=["onnxruntime"])
    assert guard.does_not_fit(baseline.model, baseline.variants[0].build(), baseline.workload.build(), gpu(1)) is None


def test_on_a_cpu_weights_alone_are_asked_about() -> None:
    cpu = Device("cpu", "cpu", "a CPU", "here", 10 * 10**9)
    with pytest.raises(ValueError, match=r"its weights alone need 12\.6 GiB; a CPU has 9\.31 GiB"):
        api.check(spec(device="cpu"), [cpu])
    assert guard.warnings(spec(device="cpu"), [cpu]) == []


def test_every_variant_has_a_prediction_at_its_most_demanding_point() -> None:
    offloading = {"name": "offload", "stack": ["bfloat16", {"technique": "fsdp", "options": {"cpu_offload": True}}]}
    found = {p.variant: p for p in guard.predicted(spec(variants=["float16", "bnb_4bit"]), [gpu(24)])}
    assert found["float16"].fits is False and "batch 32" in found["float16"].text and found["float16"].bytes_ > 22 * 2**30
    assert found["bnb_4bit"].bytes_ < found["float16"].bytes_
    training = {"baseline": "bfloat16", "variants": ["bfloat16", offloading], "workload": "training_step"}
    unknown = guard.predicted(spec(**training), [gpu(140)])[1]
    assert (unknown.variant, unknown.bytes_, unknown.fits) == ("offload", None, None) and "has no memory formula" in unknown.text


def test_on_a_cpu_and_on_no_device_at_all_weights_alone_are_predicted() -> None:
    cpu = Device("cpu", "cpu", "CPU", "here", 8 * 10**9)
    (of_cpu,) = guard.predicted(spec(device="cpu"), [cpu])
    assert of_cpu.text == "weights alone" and of_cpu.fits is False and 13e9 < of_cpu.bytes_ < 14e9
    (of_nothing,) = guard.predicted(spec(), [cpu])
    assert of_nothing.fits is None and of_nothing.bytes_ == of_cpu.bytes_


def test_the_largest_device_that_may_run_it_decides() -> None:
    assert [p.fits for p in guard.predicted(spec(), [gpu(24), gpu(140)])] == [True]
