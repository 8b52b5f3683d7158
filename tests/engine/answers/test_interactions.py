"""Two changes together against the product of each: found by their slots, estimated by rounds, worded by the rule of verdicts."""

from __future__ import annotations

import math
from typing import Any

import pytest

from engine.answers.interactions import Interaction, interactions
from engine.record import Record
from tests.records import build_record

BF16, FP32, NF4 = ({"technique": n, "options": {}} for n in ("bfloat16", "float32", "bnb_4bit"))
CACHE_OFF = {"technique": "kv_cache", "options": {"implementation": "off"}}
DRIFT = [1.0, 1.2, 0.9, 1.1, 1.0]


def record_of(speeds: dict[str, float], stacks: dict[str, list[Any]], noise: float = 0.001, rounds: int = 5, **more: Any) -> Record:
    """Decode speeds; every round has a drift that all variants share, and every value a little noise of its own."""
    measured = {
        name: {"decode_tokens_per_second": [speed * DRIFT[r] * (1 + noise * math.sin(7 * r + 3 * i)) for r in range(rounds)]}
        for i, (name, speed) in enumerate(speeds.items())
    }
    record = build_record(measured, **more)
    for variant in record["variants"]:
        variant["stack"] = stacks[variant["name"]]
    return record


STACKS: dict[str, list[Any]] = {"base": [], "a": [BF16], "b": [CACHE_OFF], "ab": [BF16, CACHE_OFF]}


def speed(record: Record) -> Interaction:
    (found,) = [i for i in interactions(record) if i.metric == "decode_tokens_per_second"]
    return found


@pytest.mark.parametrize(("together", "word"), [(6.0, "the product"), (9.0, "more than the product"), (4.0, "less than the product")])
def test_both_against_the_product(together: float, word: str) -> None:
    found = speed(record_of({"base": 10.0, "a": 20.0, "b": 30.0, "ab": 10 * together}, STACKS))
    assert (found.first, found.second, found.both) == ("a", "b", "ab")
    assert (found.of_first, found.of_second, found.together) == (pytest.approx(2, rel=0.01), pytest.approx(3, rel=0.01), pytest.approx(together, rel=0.01))
    assert found.product == pytest.approx(6, rel=0.01)
    assert found.interaction == pytest.approx(together / 6, rel=0.01) and found.word == word
    assert found.low is not None and found.high is not None and found.low < together / 6 < found.high


def test_more_is_towards_the_good_side() -> None:
    record = record_of({"base": 10.0, "a": 20.0, "b": 30.0, "ab": 90.0}, STACKS)
    for run in record["runs"]:
        for m in run["measurements"]:
            m |= {"metric": "ttft_seconds"}
    (found,) = interactions(record)
    assert (found.metric, found.word) == ("ttft_seconds", "less than the product")


def test_noise_and_few_rounds_decide_nothing() -> None:
    speeds = {"base": 10.0, "a": 20.0, "b": 30.0, "ab": 63.0}
    assert speed(record_of(speeds, STACKS, noise=0.3)).word == "no interaction shown"
    few = speed(record_of(speeds, STACKS, rounds=2))
    assert (few.word, few.low, few.reason) == ("too few rounds", None, "2 rounds; 3 are needed for a word")
    assert few.interaction == pytest.approx(63 / 60, rel=0.01)


def test_the_baseline_may_have_a_stack_that_changes_replace() -> None:
    stacks = {"base": [FP32], "a": [BF16], "b": [FP32, CACHE_OFF], "ab": [BF16, CACHE_OFF]}
    assert speed(record_of({"base": 10.0, "a": 20.0, "b": 30.0, "ab": 60.0}, stacks)).both == "ab"


@pytest.mark.parametrize("stacks", [
    {"base": [], "a": [BF16], "b": [CACHE_OFF], "ab": [FP32, CACHE_OFF]},
    {"base": [], "a": [BF16], "b": [CACHE_OFF], "ab": [BF16, CACHE_OFF, NF4]},
    {"base": [], "a": [BF16], "b": [BF16, CACHE_OFF], "ab": [BF16, CACHE_OFF, NF4]},
    {"base": [BF16], "a": [BF16], "b": [BF16, CACHE_OFF], "ab": [BF16, CACHE_OFF]},
])  # fmt: skip
def test_other_sets_of_stacks_have_no_product(stacks: dict[str, list[Any]]) -> None:
    assert interactions(record_of({"base": 10.0, "a": 20.0, "b": 30.0, "ab": 60.0}, stacks)) == []


def test_only_rounds_that_all_four_share_count() -> None:
    lost = {("b", 0): {"status": "failed", "reason": "signal 9"}, ("a", 1): {"details": {"contended": "1 other process"}}}
    found = speed(record_of({"base": 10.0, "a": 20.0, "b": 30.0, "ab": 90.0}, STACKS, runs=lost))
    assert found.word == "more than the product"
    none = {("b", r): {"status": "failed", "reason": "signal 9"} for r in range(5)}
    found = speed(record_of({"base": 10.0, "a": 20.0, "b": 30.0, "ab": 90.0}, STACKS, runs=none))
    assert (found.word, found.reason, found.product) == ("not measured", "not all four were measured in one round", None)
    elsewhere = {("ab", r): {"device": "cuda:other"} for r in range(5)}
    found = speed(record_of({"base": 10.0, "a": 20.0, "b": 30.0, "ab": 90.0}, STACKS, runs=elsewhere))
    assert (found.word, found.reason) == ("not measured", "measured under conditions that differ")


def test_perplexity_is_tested_over_the_blocks_of_the_text() -> None:
    blocks = [20.0 + i for i in range(16)]
    quality = {name: {"perplexity": [b * factor * (1 + 0.001 * math.sin(5 * i + factor)) for i, b in enumerate(blocks)]}
               for name, factor in {"base": 1.0, "a": 1.1, "b": 1.2, "ab": 1.5}.items()}  # fmt: skip
    record = record_of({"base": 10.0, "a": 20.0, "b": 30.0, "ab": 60.0}, STACKS, quality=quality)
    (found,) = [i for i in interactions(record) if i.metric == "perplexity"]
    assert found.interaction == pytest.approx(1.5 / 1.32, rel=0.01)
    assert found.word == "less than the product", "worse than their single costs multiplied"
    assert found.low is not None and found.low > 1
    for run in record["runs"]:
        for m in run["measurements"]:
            m["samples"] = []  # a record that was loaded without them
    (found,) = [i for i in interactions(record) if i.metric == "perplexity"]
    assert (found.word, found.low) == ("too few blocks of text", None)


def test_a_zero_has_no_product() -> None:
    found = speed(record_of({"base": 10.0, "a": 0.0, "b": 30.0, "ab": 60.0}, STACKS))
    assert (found.word, found.interaction) == ("not comparable", None)


def test_a_control_that_refutes_the_timings_refutes_what_is_made_of_them() -> None:
    stacks = STACKS | {"base, again": []}
    made = record_of({"base": 10.0, "a": 20.0, "b": 30.0, "ab": 90.0, "base, again": 14.0}, stacks)
    made["experiment"]["spec"] |= {"control": True, "baseline": "base"}
    assert speed(made).word == "unreliable" and "measured again differs from itself" in str(speed(made).reason)


def test_an_experiment_that_may_stop_early_spends_its_error_over_all_looks() -> None:
    plain = record_of({"base": 10.0, "a": 20.0, "b": 30.0, "ab": 60.0}, STACKS, noise=0.05)
    early = record_of({"base": 10.0, "a": 20.0, "b": 30.0, "ab": 60.0}, STACKS, noise=0.05)
    early["experiment"]["spec"] |= {"stop_early": True, "rounds": 20}
    (of_plain, of_early) = (speed(plain), speed(early))
    assert of_plain.low is not None and of_early.low is not None and of_plain.high is not None and of_early.high is not None
    assert of_early.low < of_plain.low and of_early.high > of_plain.high
