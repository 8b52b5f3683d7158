"""Every red flag is caused by a record, and a clean record has none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine.answers.red_flags import CHECKS, Flag, red_flags
from engine.record import Record
from engine.registry import discover
from tests.records import build_record

FEW = [1.0, 1.01, 0.99]
CPU = {"device_kind": "cpu", "cpu_flags": ["avx2", "avx512_vnni"]}
H100 = {"device_kind": "cuda", "capability": [9, 0], "cpu_flags": ["avx2"]}


def inference(**metrics: list[float]) -> Record:
    """bfloat16 and its weights in int8: with a cache, fused attention, two batch sizes, three rounds, quality."""
    measured = {"decode_tokens_per_second": FEW, "decode_tokens_per_second@8": FEW, "kv_cache_bytes": [1e6] * 3} | metrics
    record = build_record({"base": measured, "int8": measured}, quality={n: {"perplexity": [20.0 + i for i in range(16)]} for n in ("base", "int8")})
    record["variants"][0]["stack"] = [{"technique": "bfloat16", "options": {}}]
    record["variants"][1]["stack"] = [{"technique": "bfloat16", "options": {}}, {"technique": "torchao_int8_weight_only", "options": {}}]
    shows(record, attention="sdpa", tf32=False, parameter_elements_by_dtype={"bfloat16": 8})
    record["environments"]["e" * 64] |= H100
    return record


def training(**metrics: Any) -> Record:
    """Mixed precision with an adapter, alone and with checkpointing."""
    measured = {"training_tokens_per_second": FEW, "step_seconds": FEW, "step_seconds@8": FEW, "peak_memory_bytes": [1e9] * 3} | metrics
    record = build_record({"base": measured, "less": measured}, quality={n: {"perplexity": [20.0 + i for i in range(16)]} for n in ("base", "less")})
    record["experiment"]["spec"]["workload"] = {"name": "training_step", "options": {}}
    record["variants"][0]["stack"] = [{"technique": t, "options": {}} for t in ("amp_bfloat16", "lora")]
    record["variants"][1]["stack"] = [{"technique": t, "options": {}} for t in ("amp_bfloat16", "lora", "gradient_checkpointing")]
    shows(record, attention="sdpa", tf32=False, parameter_elements_by_dtype={"float32": 8})
    record["environments"]["e" * 64] |= H100
    return record


def shows(record: Record, *positions: int, **facts: Any) -> None:
    """The evidence of the loaded model, of these variants or all."""
    for run in record["runs"]:
        if not positions or run["variant"] in positions:
            shown = dict(run["evidence"].get("model", {}).get("facts", {}))
            run["evidence"] = {"model": {"facts": shown | facts, "problem": None}}


def stack(record: Record, position: int, *techniques: str, **options: Any) -> None:
    record["variants"][position]["stack"] = [{"technique": t, "options": options if t == techniques[-1] else {}} for t in techniques]


def options(record: Record, **chosen: Any) -> None:
    record["experiment"]["spec"]["workload"]["options"] |= chosen


def drop(record: Record, metric: str, *positions: int) -> None:
    for run in record["runs"]:
        if not positions or run["variant"] in positions:
            run["measurements"] = [m for m in run["measurements"] if m["metric"] != metric]


def measure(record: Record, position: int, metric: str, value: float) -> None:
    for run in record["runs"]:
        for m in run["measurements"]:
            if run["variant"] == position and m["metric"] == metric:
                m |= {"value": value, "samples": [value]}


def full(record: Record, position: int) -> None:
    """The larger batch did not fit."""
    for run in record["runs"]:
        for m in run["measurements"]:
            if run["variant"] == position and m["metric"] == "step_seconds" and m["point"].get("batch") == 8:
                m |= {"status": "out_of_memory", "reason": "batch 8: 20 GiB", "value": None, "samples": [], "n_samples": 0}


Cause = Callable[[Record], Any]
# flag: (record, what spoils it, its severity, its variants, a part of its evidence)
CAUSES: dict[str, tuple[Callable[..., Record], Cause, str, tuple[str, ...], str]] = {
    "no KV cache": (
        inference, lambda r: measure(r, 1, "kv_cache_bytes", 0.0), "note", ("int8",), "int8: 0 B of keys and values kept, decode throughput 1.00 x base",
    ),
    "fp32 training": (training, lambda r: (stack(r, 0, "lora"), stack(r, 1, "lora"), shows(r, tf32=True)), "warning", ("base", "less"), "no autocast"),
    "fp16 training": (training, lambda r: [stack(r, i, "amp_float16", "lora") for i in (0, 1)], "warning", ("base", "less"), "trains with amp_float16"),
    "attention is not fused": (inference, lambda r: shows(r, 0, attention="eager"), "note", ("base",), "base: two matrix products"),
    "no warm-up": (inference, lambda r: options(r, max_warmups=0), "warning", ("base", "int8"), "max_warmups: 0"),
    "too few rounds": (inference, lambda r: r["runs"].__delitem__(slice(4, None)), "warning", ("base", "int8"), "1 round"),
    "compile time dominates": (
        lambda: inference(compile_seconds=[6.0] * 3), lambda r: drop(r, "compile_seconds", 0), "note", ("int8",), "int8: 6 s of compiling are 60%",
    ),
    "quality not measured": (inference, lambda r: drop(r, "perplexity", 1), "note", ("int8",), "int8: perplexity has no value"),
    "batch 1 only": (inference, lambda r: [drop_point(r, 8)], "warning", ("base", "int8"), "every point is at batch 1"),
    "int8 on a CPU without VNNI": (
        inference, lambda r: (stack(r, 1, "torch_dynamic_int8"), r["environments"]["e" * 64].update(CPU | {"cpu_flags": ["avx2"]})),
        "note", ("int8",), "the CPU has avx2",
    ),
    "TF32 off": (inference, lambda r: shows(r, 0, parameter_elements_by_dtype={"float32": 8}), "note", ("base",), "without TF32"),
    "full fine-tuning": (training, lambda r: [stack(r, i, "amp_bfloat16") for i in (0, 1)], "warning", ("base", "less"), "peak memory 954 MiB"),
    "out of memory without checkpointing": (training, lambda r: full(r, 0), "note", ("base",), "base: did not fit at batch=8"),
    "out of memory with a whole copy on each GPU": (
        training, lambda r: (stack(r, 1, "amp_bfloat16", "lora", "gradient_checkpointing", "ddp"), full(r, 1)),
        "note", ("less",), "less: did not fit at batch=8",
    ),
    "DataParallel": (training, lambda r: stack(r, 1, "amp_bfloat16", "lora", "data_parallel"), "note", ("less",), "one process for all devices"),
    "nothing quantized": (inference, lambda r: stack(r, 1, "float16"), "idea", ("base", "int8"), "no variant has quantized weights"),
}  # fmt: skip


def drop_point(record: Record, batch: int) -> None:
    for run in record["runs"]:
        run["measurements"] = [m for m in run["measurements"] if m["point"].get("batch") != batch]


def found(record: Record) -> dict[str, Flag]:
    return {flag.name: flag for flag in red_flags(record)}


@pytest.mark.parametrize("clean", [inference, training])
def test_a_clean_record_has_no_flags(clean: Callable[..., Record]) -> None:
    assert red_flags(clean()) == []


@pytest.mark.parametrize("name", CAUSES)
def test_a_flag_is_caused_and_nothing_else_is(name: str) -> None:
    make, spoil, severity, variants, evidence = CAUSES[name]
    record = make()
    spoil(record)
    flags = found(record)
    assert list(flags) == [name]
    flag = flags[name]
    assert (flag.severity, flag.variants) == (severity, variants) and evidence in flag.evidence
    assert flag.why and flag.remedy
    if flag.technique is not None:
        assert flag.technique in discover().techniques, "what to try exists"


def test_every_check_has_a_cause() -> None:
    assert len(CAUSES) == len(CHECKS)


def test_a_flag_that_all_measured_variants_have_is_a_warning_even_if_another_never_ran() -> None:
    record = inference()
    for run in record["runs"]:
        if run["variant"] == 0:
            run |= {"status": "failed", "reason": "signal 11", "measurements": [], "evidence": {}}
    measure(record, 1, "kv_cache_bytes", 0.0)
    assert found(record)["no KV cache"].severity == "warning"


def test_attention_alone_is_plain_without_the_technique() -> None:
    record = build_record({"standard": {"kernel_seconds": FEW, "extra_peak_bytes": [1e9] * 3}, "sdpa": {"kernel_seconds": FEW}})
    record["experiment"]["spec"] |= {"workload": {"name": "attention_kernel", "options": {}}, "model": {"source": "none", "name": "none", "revision": None}}
    stack(record, 1, "attention", kernel="flash")
    assert found(record)["attention is not fused"].evidence == "standard: extra peak memory 954 MiB"
    stack(record, 1, "attention", kernel="math")
    assert found(record)["attention is not fused"].severity == "warning"


def test_an_older_record_says_tf32_in_its_environment() -> None:
    record = inference()
    shows(record, 0, parameter_elements_by_dtype={"float32": 8})
    for run in record["runs"]:
        del run["evidence"]["model"]["facts"]["tf32"]
    assert "TF32 off" not in found(record), "nobody said"
    record["environments"]["e" * 64]["float32_matmul_precision"] = "highest"
    assert "TF32 off" in found(record)


def test_a_shape_says_that_its_weights_are_random() -> None:
    record = inference()
    record["experiment"]["spec"]["model"] = {"source": "shape", "name": "llama-7b", "revision": None}
    record["runs"] = [r for r in record["runs"] if r["kind"] == "speed"]
    flag = found(record)["quality not measured"]
    assert flag.evidence == "random weights" and "real model" in flag.remedy


def test_on_a_cpu_a_classifier_is_told_of_the_quantized_runtime() -> None:
    record = build_record({"base": {"examples_per_second": FEW, "examples_per_second@32": FEW}}, quality={"base": {"accuracy": [1.0] * 16}})
    record["experiment"]["spec"]["workload"] = {"name": "classification", "options": {}}
    record["environments"]["e" * 64] |= CPU
    flag = found(record)["nothing quantized"]
    assert flag.technique == "onnxruntime_int8"


@pytest.mark.parametrize("name", ["of_another_version", "generation"])
def test_a_workload_that_this_version_does_not_know_is_not_judged(name: str) -> None:
    record = inference()
    record["experiment"]["spec"]["workload"] = {"name": name, "options": {"of_another_version": 1}}
    assert red_flags(record) == []
