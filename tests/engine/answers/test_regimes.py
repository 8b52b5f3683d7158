"""What limits a phase: each regime from numbers that cause it, against a count by hand; missing and old numbers are said to be so."""

from __future__ import annotations

from typing import Any

import pytest

from engine.analysis import rows
from engine.answers.regimes import OLD, Ceilings, Regime, ceilings, regimes
from engine.record import Record
from tests.records import build_record

CEILINGS = {"dtype": "float32", "matrix_flops_per_second": 1e12, "copy_bytes_per_second": 1e11, "launch_seconds": 1e-6}
PROFILE = {"what": "w", "device": "cuda", "steps": 1, "step_seconds": 1.0}
# 1e9 parameters of 16 bits; prompts of 128 tokens, 64 new ones
WEIGHTS: dict[str, list[float]] = {"weight_bytes": [2e9], "bits_per_parameter": [16.0]}


def record_of(metrics: dict[str, list[Any]], details: dict[str, Any] | None = None) -> Record:
    shown = {"ceilings": CEILINGS} | (details or {})
    return build_record({"base": metrics}, runs={("base", 0): {"details": shown}})


def profiled(record: Record, **shares: float) -> Record:
    run = record["runs"][0] | {"kind": "profile", "measurements": [], "details": {"profile": PROFILE | {"shares": shares}}}
    return record | {"runs": [*record["runs"], run]}


def found(record: Record) -> dict[str, Regime]:
    read = regimes(record, 0, rows(record))
    assert not isinstance(read, str), read
    return {r.phase: r for r in read}


def why(record: Record) -> str:
    read = regimes(record, 0, rows(record))
    assert isinstance(read, str)
    return read


def decode(seconds: float, cache: float = 1e8, **details: Any) -> Record:
    return record_of(WEIGHTS | {"inter_token_latency_seconds": [seconds], "kv_cache_bytes": [cache]}, details)


def test_decode_that_moves_bytes_is_bandwidth_bound() -> None:
    r = found(decode(0.03))["decode"]
    assert r.word == "bandwidth-bound"
    assert (r.bytes, r.bytes_share) == (pytest.approx(2.1e9 / 0.03), pytest.approx(2.1e9 / 0.03 / 1e11))
    assert (r.flops, r.flops_share) == (pytest.approx(2e9 / 0.03), pytest.approx(2e9 / 0.03 / 1e12))


def test_prefill_that_computes_is_compute_bound() -> None:
    r = found(record_of(WEIGHTS | {"ttft_seconds": [0.4], "ttft_seconds@4": [1.2]}))["prefill"]
    assert (r.word, r.flops_share) == ("compute-bound", pytest.approx(2e9 * 4 * 128 / 1.2 / 1e12)), "the last point, of batch 4"


def test_decode_without_a_cache_reads_the_whole_sequence_again() -> None:
    r = found(decode(0.5, cache=0.0))["decode"]
    assert (r.word, r.flops) == ("compute-bound", pytest.approx(2e9 * (128 + 32) / 0.5))


@pytest.mark.parametrize(("operators", "word"), [(50_000, "launch-bound"), (26_000, "launch-bound"), (24_000, "undecided"), (None, "undecided")])
def test_many_operators_and_little_else_are_launch_bound(operators: int | None, word: str) -> None:
    """0.1 s a token: bytes take a fifth of it, arithmetic nothing; the quarter is 25,000 operators."""
    r = found(decode(0.1, **({} if operators is None else {"operators_per_token": operators})))["decode"]
    assert r.bytes_share == pytest.approx(0.21)
    assert (r.word, r.launch_share) == (word, None if operators is None else pytest.approx(operators * 1e-6 / 0.1))


def test_launches_alone_do_not_decide_where_bytes_take_more_than_a_quarter() -> None:
    assert found(decode(0.07, operators_per_token=20_000))["decode"].word == "undecided"
    assert found(decode(0.07, operators_per_token=40_000))["decode"].word == "launch-bound", "more than half by themselves"


@pytest.mark.parametrize(("idle", "word"), [(0.6, "launch-bound"), (0.4, "undecided")])
def test_a_profile_sees_the_device_wait(idle: float, word: str) -> None:
    record = profiled(decode(0.1), launch_and_idle=idle, matrix_products=1 - idle)
    assert (found(record)["decode"].word, found(record)["decode"].waiting) == (word, idle)
    prefill = profiled(record_of(WEIGHTS | {"ttft_seconds": [50.0]}), launch_and_idle=idle)
    assert found(prefill)["prefill"].waiting is None, "most of what was profiled is decoding"


TRAINING = {"total_parameters": [1e9]}


@pytest.mark.parametrize(("trained", "checkpointed", "flops"), [(1e9, 0, 6), (1e9, 4, 8), (1e9, 2, 7), (2.5e8, 0, 4.5), (1e6, 4, 6.002)])
def test_the_arithmetic_of_training(trained: float, checkpointed: int, flops: float) -> None:
    """checkpointed: how many of 4 blocks run twice. Frozen weights take no gradients of their own."""
    record = record_of(TRAINING | {"trainable_parameters": [trained], "training_tokens_per_second": [150.0]})
    for m in record["runs"][0]["measurements"]:
        if m["metric"].endswith("parameters"):
            m["point"] = {}
    facts = {"blocks": 4, "blocks_that_run_twice": checkpointed}
    record["runs"][0]["evidence"] = {"gradient_checkpointing": {"facts": facts, "problem": None}} if checkpointed else {}
    r = found(record)["a training step"]
    assert (r.flops, r.bytes, r.word) == (pytest.approx(flops * 1e9 * 150), None, "compute-bound")


def test_ceilings_are_the_best_of_all_runs_on_the_device_in_that_type() -> None:
    """What disturbs a measurement only lowers it."""
    metrics = WEIGHTS | {"inter_token_latency_seconds": [0.03] * 3, "kv_cache_bytes": [0.0] * 3}
    runs = {("base", i): {"details": {"ceilings": CEILINGS | {"matrix_flops_per_second": rate}}} for i, rate in enumerate((1e12, 4e12, 2e12))}
    others = {"copy_bytes_per_second": 3e11, "launch_seconds": 5e-7, "matrix_flops_per_second": 9e12, "dtype": "bfloat16"}
    runs[("other", 0)] = {"details": {"ceilings": CEILINGS | others}}
    runs[("other", 1)] = {"details": {"ceilings": CEILINGS | {"matrix_flops_per_second": 8e12}}, "device": "cuda:elsewhere"}
    runs[("other", 2)] = {"details": {"ceilings": CEILINGS | {"matrix_flops_per_second": 7e12}}, "status": "failed"}
    best = ceilings(build_record({"base": metrics, "other": {}}, runs=runs), 0)
    assert best == Ceilings(dtype="float32", matrix_flops_per_second=4e12, copy_bytes_per_second=3e11, launch_seconds=5e-7)


def test_work_that_is_faster_than_a_ceiling_shows_that_it_is_none() -> None:
    assert found(decode(0.0165))["decode"].word == "beyond", "the copy's bandwidth 1.27 times"
    assert found(decode(0.0175))["decode"].word == "bandwidth-bound", "1.2 times: reading alone is a little faster than copying"


@pytest.mark.parametrize(("details", "reason"), [
    ({"ceilings": None}, OLD), ({"ceilings": {"not_measured": "no room"}}, "no room"), ({"ceilings": CEILINGS | {"launch_seconds": 0}}, OLD),
    ({"ceilings": CEILINGS | {"matrix_flops_per_second": "1e999"}}, OLD), ({"ceilings": [1]}, OLD),
])  # fmt: skip
def test_missing_and_impossible_ceilings_are_not_measured(details: dict[str, Any], reason: str) -> None:
    assert why(decode(0.03, **details)) == reason


def test_what_else_may_be_missing() -> None:
    assert "how many parameters" in why(record_of({"inter_token_latency_seconds": [0.03]}))
    assert "no phase" in why(record_of(WEIGHTS))
    failed = build_record({"base": WEIGHTS}, runs={("base", 0): {"status": "failed", "reason": "signal 9"}})
    assert why(failed) == "no speed run of it succeeded"
    assert found(record_of(WEIGHTS | {"inter_token_latency_seconds": [0.03]}))["decode"].bytes is None, "no cache was counted"


def test_the_forward_pass_of_an_encoder_has_a_regime() -> None:
    record = record_of(WEIGHTS | {"forward_seconds": [0.4]})
    for m in record["runs"][0]["measurements"]:
        m["point"] = {"batch": 8, "tokens": 16} if m["metric"] == "forward_seconds" else m["point"]
    r = found(record)["the forward pass"]
    assert (r.word, r.flops_share) == ("compute-bound", pytest.approx(2e9 * 8 * 16 / 0.4 / 1e12))
