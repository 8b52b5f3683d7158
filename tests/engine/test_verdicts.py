"""The verdict rule on whole records: every word, the margins, Holm, zeros, other machines, and how often it errs."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.analysis import Row, rows
from engine.measurement import Status
from engine.specs import forwards
from tests.records import build_record


def row_of(record: dict[str, Any], variant: str = "fast", metric: str = "ttft_seconds") -> Row:
    found = [r for r in rows(record) if (r.variant, r.metric) == (variant, metric)]
    assert len(found) == 1
    return found[0]


def compared(base: list[Any], fast: list[Any], metric: str = "ttft_seconds", **changes: Any) -> Row:
    return row_of(build_record({"base": {metric: base}, "fast": {metric: fast}}, **changes), metric=metric)


def test_effect_by_hand() -> None:
    # log-ratios of e^-1, e^-2, e^-3 are -1, -2, -3: estimate -2, half-width 4.302653 / sqrt(3)
    row = compared([1.0, 1.0, 1.0], [math.exp(-1), math.exp(-2), math.exp(-3)])
    assert (row.ratio, row.ci_low, row.ci_high) == pytest.approx((math.exp(-2), math.exp(-4.484138), math.exp(0.484138)), rel=1e-5)
    assert row.verdict == "no difference shown"
    assert (row.value, row.n_rounds, row.n_samples) == (pytest.approx(math.exp(-2)), 3, 3)


def test_pairs_are_of_the_same_round() -> None:
    # Everything doubles from round to round, for both alike: unpaired, nothing could be said.
    row = compared([1.0, 2.0, 4.0, 8.0, 16.0], [0.5, 1.01, 1.99, 4.0, 8.1])
    assert row.verdict == "better" and row.ratio == pytest.approx(0.5, rel=0.02)


@pytest.mark.parametrize(("metric", "factor", "word"), [
    ("ttft_seconds", 0.5, "better"), ("ttft_seconds", 2.0, "worse"),
    ("decode_tokens_per_second", 2.0, "better"), ("decode_tokens_per_second", 0.5, "worse"),
    ("ttft_seconds", 1.019, "equivalent"), ("ttft_seconds", 1.02, "equivalent"), ("ttft_seconds", 1 / 1.02, "equivalent"),
    ("ttft_seconds", 1.021, "worse"), ("weight_bytes", 1.004, "equivalent"), ("weight_bytes", 0.994, "better"),
    ("weight_bytes", 1.0, "equivalent"),
])  # fmt: skip
def test_nothing_varies(metric: str, factor: float, word: str) -> None:
    row = compared([200.0] * 3, [200.0 * factor] * 3, metric)
    assert (row.verdict, row.ratio, row.ci_low, row.ci_high) == (word, *[pytest.approx(factor, rel=1e-12)] * 3)
    assert row.low == pytest.approx(row.value) == row.high


def test_a_sure_but_small_difference_is_not_called_better() -> None:
    # about 3 % faster with an interval that excludes 1, while the margin is 2 %: better. About 1.5 %: within the margin.
    noise = np.array([0.001, -0.001, 0.0, 0.002, -0.002])
    assert compared([1.0] * 5, list(0.97 * (1 + noise))).verdict == "better"
    assert compared([1.0] * 5, list(0.985 * (1 + noise))).verdict == "equivalent"
    wide = compared([1.0] * 5, list(0.985 * (1 + 6 * noise)))
    assert wide.ci_high is not None and wide.ci_high < 1
    assert wide.verdict == "no difference shown"


def test_holm_over_all_metrics_of_one_variant() -> None:
    noisy = [0.90, 0.92, 0.99, 0.93, 0.95]
    assert compared([1.0] * 5, noisy).verdict == "better"
    others = ("inter_token_latency_seconds", "load_seconds", "first_call_seconds", "peak_memory_bytes")
    spread = [1.0, 1.1, 0.9, 1.05, 0.96]
    record = build_record({
        "base": dict.fromkeys(("ttft_seconds", *others), [1.0] * 5), "fast": {"ttft_seconds": noisy, **dict.fromkeys(others, spread)},
    })  # fmt: skip
    row = row_of(record)
    assert row.ci_high is not None and row.ci_high < 1, "the interval is not adjusted"
    assert row.verdict == "no difference shown"


def test_counted_metrics_take_no_part_in_holm() -> None:
    noisy = [0.90, 0.92, 0.99, 0.93, 0.95]
    counted = {"weight_bytes": [100.0] * 5, "kv_cache_bytes": [10.0] * 5, "peak_memory_bytes": [7.0] * 5, "reserved_memory_bytes": [8.0] * 5}
    record = build_record({"base": {"ttft_seconds": [1.0] * 5, **counted}, "fast": {"ttft_seconds": noisy, **counted}})
    assert row_of(record).verdict == "better"


def test_too_few_rounds() -> None:
    row = compared([1.0, 1.0], [0.5, 0.5])
    assert (row.verdict, row.ratio, row.ci_low, row.low) == ("too few rounds", pytest.approx(0.5), None, None)
    assert row.reason == "2 paired rounds; 3 are needed for a verdict"
    assert compared([1.0], [0.5]).reason == "1 paired round; 3 are needed for a verdict"


def test_a_round_without_its_baseline_is_no_pair() -> None:
    row = compared([1.0, None, 1.0, 1.0], [0.5, 9.0, 0.5, 0.5])
    assert (row.n_rounds, row.verdict, row.ratio) == (4, "better", pytest.approx(0.5))
    row = compared([1.0, None, None, 1.0], [None, 0.5, 0.5, 0.5])
    assert (row.n_rounds, row.verdict) == (3, "too few rounds")
    assert row.reason == "1 paired round; 3 are needed for a verdict"
    row = compared([1.0, 1.0, None], [None, None, 0.5])
    assert (row.ratio, row.verdict) == (None, "too few rounds")


def test_zeros() -> None:
    off = compared([64.0] * 3, [0.0] * 3, "kv_cache_bytes")
    assert (off.ratio, off.ci_low, off.verdict, off.value, off.low, off.high) == (0.0, None, "better", 0.0, 0.0, 0.0)
    assert compared([64.0] * 3, [0.0] * 3, "decode_tokens_per_second").verdict == "worse"
    assert compared([64.0], [0.0], "kv_cache_bytes").verdict == "too few rounds"
    on = compared([0.0] * 3, [64.0] * 3, "kv_cache_bytes")
    assert (on.ratio, on.verdict, on.value) == (None, "not comparable", 64.0)
    assert on.reason == "the baseline is 0; there is no ratio to it"
    assert compared([0.0] * 3, [0.0] * 3, "kv_cache_bytes").verdict == "not comparable"
    assert compared([1.0] * 3, [0.0, 1.0, 1.0], "kv_cache_bytes").verdict == "not comparable"


def test_without_a_baseline_value_nothing_is_compared() -> None:
    failed = {("base", r): {"status": "failed", "reason": "signal 11", "measurements": []} for r in range(3)}
    row = compared([1.0] * 3, [0.5] * 3, runs=failed)
    assert (row.verdict, row.value, row.ratio) == ("not comparable", 0.5, None)
    assert row.reason == "the baseline has no value: failed, signal 11"


def test_another_device_or_environment_is_not_compared() -> None:
    elsewhere = {("fast", r): {"device": "cuda:GPU-1"} for r in range(3)}
    row = compared([1.0] * 3, [0.5] * 3, runs=elsewhere)
    assert (row.verdict, row.ratio) == ("not comparable", None)
    assert row.reason == "measured on cuda:GPU-1, the baseline on cpu:test-machine"


@pytest.mark.parametrize(("facts", "named"), [
    ({"driver": "580.2"}, "driver 580.2 instead of 580.1"),
    ({"packages": {"torch": "2.12.0", "numpy": "2.5"}}, "torch 2.12.0 instead of 2.13.0"),
    ({"power_limit_watts": 400.0}, "power limit in watts 400.0 instead of 700.0"),
    ({"cpu_flags": []}, "CPU flags none instead of avx2 amx_int8"),
    ({"threads": None}, "CPU threads not recorded instead of 8"),
    ({"os": "Linux 7"}, "os Linux 7 instead of Linux 6"),
    ({"driver": "1", "threads": 9, "os": "x", "power_limit_watts": 1.0},
     "driver 1 instead of 580.1; power limit in watts 1.0 instead of 700.0; CPU threads 9 instead of 8; and 1 more"),
])  # fmt: skip
def test_an_environment_that_changed_is_named_by_the_fact_and_both_values(facts: dict[str, Any], named: str) -> None:
    plain: dict[str, Any] = {"device": "a test machine", "driver": "580.1", "packages": {"torch": "2.13.0", "numpy": "2.5"},
                             "power_limit_watts": 700.0, "cpu_flags": ["avx2", "amx_int8"], "threads": 8, "os": "Linux 6"}  # fmt: skip
    record = build_record({"base": {"ttft_seconds": [1.0] * 4}, "fast": {"ttft_seconds": [0.5] * 4}})
    record["environments"] = {"e" * 64: plain, "f" * 64: plain | facts}
    of_fast = [r for r in record["runs"] if r["variant"] == 1]
    of_fast[3]["environment"] = "f" * 64
    row = row_of(record)
    assert (row.verdict, row.reason) == ("better", f"1 of 4 rounds left out: another environment than the baseline's: {named}")
    for run in of_fast:
        run["environment"] = "f" * 64
    row = row_of(record)
    assert (row.verdict, row.ratio, row.reason) == ("not comparable", None, f"another environment than the baseline's: {named}")


def test_a_techniques_own_packages_do_not_stand_in_the_way() -> None:
    record = build_record({"base": {"ttft_seconds": [1.0] * 3}, "fast": {"ttft_seconds": [0.5] * 3}})
    plain = {"device": "a test machine", "packages": {"torch": "2.13.0"}}
    layered = plain | {"layered": {"environment": "onnx", "packages": {"transformers": "4.57.6"}}}
    ids = {name: hashlib.sha256(json.dumps(f, sort_keys=True).encode()).hexdigest() for name, f in (("plain", plain), ("layered", layered))}
    record["environments"] = {ids["plain"]: plain, ids["layered"]: layered}
    for run in record["runs"]:
        run["environment"] = ids["layered" if run["variant"] else "plain"]
    assert row_of(record).verdict == "better"
    layered["packages"] = {"torch": "2.12.0"}
    assert row_of(record).verdict == "not comparable"


BLOCKS = [20.0, 25.0, 30.0, 18.0, 22.0, 27.0, 33.0, 21.0]


def perplexity(factors: list[float], **changes: Any) -> Row:
    speed = {"base": {"ttft_seconds": [1.0]}, "fast": {"ttft_seconds": [0.5]}}
    own = [b * f for b, f in zip(BLOCKS, factors, strict=False)]
    record = build_record(speed, quality={"base": {"perplexity": BLOCKS}, "fast": {"perplexity": own}}, **changes)
    return row_of(record, metric="perplexity")


def test_perplexity_is_paired_by_blocks() -> None:
    factors = [1.10, 1.12, 1.11, 1.09, 1.10, 1.11, 1.12, 1.10]
    row = perplexity(factors)
    assert row.ratio == pytest.approx(math.prod(factors) ** (1 / 8))
    assert (row.verdict, row.n_rounds, row.n_samples, row.low) == ("worse", 1, 8, None)
    assert row.ci_low is not None and 1.09 < row.ci_low < row.ratio
    assert perplexity([1.001, 1.002, 0.999, 1.0, 1.001, 0.998, 1.0, 1.0]).verdict == "equivalent"
    assert perplexity([1.2, 0.8] * 4).verdict == "no difference shown"


def test_perplexity_that_cannot_be_compared() -> None:
    few = perplexity([1.1] * 7)
    assert (few.verdict, few.reason) == ("not comparable", "7 blocks of text, the baseline has 8")
    other = perplexity([1.1] * 8, quality_runs={"base": {"details": {"quality": {"tokens": 1}}}, "fast": {"details": {"quality": {"tokens": 2}}}})
    assert (other.verdict, other.reason) == ("not comparable", "another text than the baseline's: tokens 2 instead of 1")
    short = build_record({"a": {}, "b": {}}, quality={"a": {"perplexity": [9.0] * 7}, "b": {"perplexity": [10.0] * 7}})
    row = row_of(short, "b", "perplexity")
    assert (row.verdict, row.ratio) == ("too few rounds", pytest.approx(10 / 9))
    for run in short["runs"]:
        for m in run["measurements"]:
            m["samples"] = []
    assert row_of(short, "b", "perplexity").reason == "the values of its blocks are not loaded"


def test_fidelity_has_no_ratio_and_no_row_for_the_baseline() -> None:
    record = build_record({"base": {}, "fast": {}}, quality={"base": {"perplexity": BLOCKS}, "fast": {"perplexity": BLOCKS, "kl_divergence": [0.01] * 8}})
    row = row_of(record, metric="kl_divergence")
    assert (row.verdict, row.ratio, row.value) == ("fidelity", None, pytest.approx(0.01))
    assert not [r for r in rows(record) if r.baseline and r.metric == "kl_divergence"]


@pytest.mark.parametrize(("status", "word"), [
    (Status.OUT_OF_MEMORY, "did not fit"), (Status.UNSUPPORTED, "unsupported"), (Status.FAILED, "failed"),
    (Status.TIMED_OUT, "failed"), (Status.CANCELLED, "not measured"),
])  # fmt: skip
def test_a_variant_that_did_not_run_has_a_row_for_every_metric(status: Status, word: str) -> None:
    gone = {("fast", r): {"status": status.value, "reason": "why"} for r in range(3)}
    speed = {"ttft_seconds": [1.0] * 3, "ttft_seconds@4": [2.0] * 3, "weight_bytes": [5.0] * 3}
    record = build_record({"base": speed, "fast": {}}, runs=gone)
    found = [r for r in rows(record) if r.variant == "fast"]
    assert [(r.metric, r.point_label[:7]) for r in found] == [("ttft_seconds", "batch=1"), ("ttft_seconds", "batch=4"), ("weight_bytes", "")]
    assert {(r.status, r.reason, r.value, r.verdict) for r in found} == {(status.value, "why", None, word)}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(0.01, 100), st.floats(0.01, 100)), min_size=3, max_size=6))
def test_swapping_variant_and_baseline_inverts_the_ratio(pairs: list[tuple[float, float]]) -> None:
    a, b = [list(v) for v in zip(*pairs, strict=True)]
    there, back = compared(a, b), compared(b, a)
    assert there.ratio is not None and back.ratio is not None
    assert there.ratio * back.ratio == pytest.approx(1)
    assert there.ci_low is not None and back.ci_high is not None
    assert there.ci_low * back.ci_high == pytest.approx(1)
    opposite = {"better": "worse", "worse": "better"}
    assert back.verdict == opposite.get(there.verdict, there.verdict)


def _under_drift(seed: int, effect: float) -> Row:
    """One experiment of five rounds on a machine that slows down by a third meanwhile; 4 % noise, far above the margin."""
    rng = np.random.default_rng(seed)
    speed: dict[str, dict[str, list[Any]]] = {"base": {"ttft_seconds": [None] * 5}, "fast": {"ttft_seconds": [None] * 5}}
    for run in range(10):
        round_, second = divmod(run, 2)
        name = ("base", "fast")[second if forwards(round_) else 1 - second]
        slow = 1 + run / 30
        speed[name]["ttft_seconds"][round_] = slow * math.exp(rng.normal(0, 0.04)) * (effect if name == "fast" else 1)
    return row_of(build_record(speed))


def test_equal_variants_on_a_drifting_machine_are_rarely_called_different() -> None:
    verdicts = [_under_drift(seed, 1.0).verdict for seed in range(500)]
    wrong = sum(v in ("better", "worse") for v in verdicts) / 500
    assert wrong <= 0.08
    assert wrong > 0, "a test at 5 % that never errs does not look at the numbers"


def test_a_real_effect_on_the_same_machine_is_found() -> None:
    verdicts = [_under_drift(seed, 0.7).verdict for seed in range(100)]
    assert verdicts.count("better") >= 95


def test_an_error_of_exactly_zero_in_a_block_has_no_ratio_and_ends_nothing() -> None:
    quality = {"base": {"attention_error": [0.25] * 8}, "fast": {"attention_error": [0.0] + [0.5] * 7}}
    row = row_of(build_record({"base": {}, "fast": {}}, quality=quality), metric="attention_error")
    assert (row.verdict, row.reason) == ("not comparable", "0 in some blocks; there is no ratio")
    quality["fast"]["attention_error"][0] = 0.5
    assert row_of(build_record({"base": {}, "fast": {}}, quality=quality), metric="attention_error").verdict == "worse"


def test_f1_is_compared_over_the_same_examples() -> None:
    base = [1.0, 1.0, 1.0, -1.0] * 50
    quality = {"base": {"f1": base}, "fast": {"f1": [1.0, 0.0, 0.0, -1.0] * 50}}
    row = row_of(build_record({"base": {}, "fast": {}}, quality=quality), metric="f1")
    assert row.verdict == "worse" and row.ci_low is not None and row.ci_high is not None and row.ci_low < row.ci_high < 1
    quality["fast"]["f1"] = base
    assert row_of(build_record({"base": {}, "fast": {}}, quality=quality), metric="f1").verdict == "equivalent"
    quality["fast"]["f1"] = [0.0, 0.0, 0.0, -1.0] * 50
    assert row_of(build_record({"base": {}, "fast": {}}, quality=quality), metric="f1").verdict == "not comparable"
