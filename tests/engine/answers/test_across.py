"""Variants of two experiments: through their baselines, with an interval that is right in 95 of 100, and a word where there is no way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from engine import statistics
from engine.analysis import Row, rows
from engine.answers.across import Side, against, effect
from engine.cells import Cell, Outcome
from engine.measurement import Status
from engine.metrics import METRICS
from engine.variant_ref import VariantRef
from engine.verdicts import verdicts
from tests.records import build_record

STEADY = [1.0, 1.01, 0.99, 1.0, 1.02]
PROTOCOL = {"text": "wikitext2-test", "text_sha256": "a1"}


def experiment(key: str, factors: dict[str, float], session: float = 1.0, rounds: Sequence[float] = STEADY, **more: Any) -> dict[str, Any]:
    """Variants that decode at 30 tokens/s times a factor, in a session in which everything is so much faster."""
    speeds = {name: [30 * factor * session * r for r in rounds] for name, factor in factors.items()}
    variants = {name: {"decode_tokens_per_second": s, "weight_bytes": [4e8 / factors[name]] * len(s)} for name, s in speeds.items()}
    return build_record(variants, experiment_id=key, title=key, **more)


def compared(records: Sequence[dict[str, Any]], *refs: tuple[str, int]) -> dict[str, Row]:
    """{metric: the row} of the last of the variants against the first."""
    wanted = [VariantRef(*ref) for ref in refs]
    found = against({r["experiment"]["id"]: r for r in records}, wanted)
    return {row.metric: row for row in found[wanted[-1]]}


def test_within_one_experiment_nothing_changes() -> None:
    record = experiment("a", {"base": 1, "fast": 2, "slow": 0.5})
    found = against({"a": record}, [VariantRef("a", i) for i in range(3)])
    assert [row for i in range(3) for row in found[VariantRef("a", i)]] == rows(record)


def test_another_baseline_within_one_experiment_is_paired_by_round() -> None:
    row = compared([experiment("a", {"base": 1, "fast": 2, "slow": 0.5})], ("a", 2), ("a", 1))["decode_tokens_per_second"]
    assert (row.ratio, row.verdict, row.baseline) == (pytest.approx(4), "better", False)


def test_a_session_that_is_faster_is_no_effect_of_the_variant() -> None:
    records = [experiment("a", {"base": 1, "one": 1.5}), experiment("b", {"base": 1, "other": 1.5}, session=1.3)]
    row = compared(records, ("a", 1), ("b", 1))["decode_tokens_per_second"]
    assert row.value == pytest.approx(30 * 1.5 * 1.3), "what was measured stays as it is"
    assert (row.ratio, row.verdict, row.reason) == (pytest.approx(1), "equivalent", "through the baselines of both experiments")


def test_against_the_other_experiments_baseline_it_has_the_effect_that_it_has_against_its_own() -> None:
    one, other = experiment("a", {"base": 1}), experiment("b", {"base": 1, "other": 1.4}, session=0.7)
    for run, wobble in zip((r for r in other["runs"] if r["variant"] == 1), (1.0, 1.05, 0.97, 1.02, 0.99), strict=True):
        run["measurements"][0]["value"] *= wobble
    row, own = compared([one, other], ("a", 0), ("b", 1))["decode_tokens_per_second"], rows(other)[2]
    assert (own.variant, own.metric) == ("other", "decode_tokens_per_second")
    assert (row.ratio, row.ci_low, row.ci_high, row.verdict) == (pytest.approx(own.ratio), pytest.approx(own.ci_low), pytest.approx(own.ci_high), "better")
    assert row.reason == "against the same baseline in its own experiment"


def test_both_spreads_are_in_the_interval() -> None:
    a, b = [0.0, 0.02, -0.02, 0.01], [0.3, 0.5, 0.4]
    centre = statistics.hodges_lehmann(a) - statistics.hodges_lehmann(b)
    low, high, p = statistics.welch(a, b, centre)
    variance_a, variance_b = np.var(a, ddof=1) / 4, np.var(b, ddof=1) / 3
    freedom = (variance_a + variance_b) ** 2 / (variance_a**2 / 3 + variance_b**2 / 2)
    assert (low + high) / 2 == pytest.approx(centre) and 2 < freedom < 3
    assert (high - low) / 2 == pytest.approx(statistics.stats.t.ppf(0.975, freedom) * math.sqrt(variance_a + variance_b))
    assert p < 0.05


def test_two_baselines_are_the_same_thing_twice() -> None:
    row = compared([experiment("a", {"base": 1}), experiment("b", {"base": 1}, session=1.3)], ("a", 0), ("b", 0))["decode_tokens_per_second"]
    assert (row.ratio, row.ci_low, row.verdict) == (pytest.approx(1.3), None, "not paired")
    assert "the ratio is how the sessions differ" in str(row.reason)


def test_without_a_baseline_at_that_point_there_is_an_estimate_and_no_verdict() -> None:
    other = experiment("b", {"base": 1, "other": 1.5}, runs={("base", r): {"status": "failed", "reason": "signal 9", "measurements": []} for r in range(5)})
    row = compared([experiment("a", {"base": 1, "one": 1}), other], ("a", 1), ("b", 1))["decode_tokens_per_second"]
    assert (row.ratio, row.ci_low, row.verdict) == (pytest.approx(1.5), None, "not paired")
    assert "the baseline of its experiment has no value there" in str(row.reason)


def test_too_few_rounds_in_either() -> None:
    other = experiment("b", {"base": 1, "other": 1.5}, rounds=[1.0, 1.01])
    row = compared([experiment("a", {"base": 1, "one": 1}), other], ("a", 1), ("b", 1))["decode_tokens_per_second"]
    assert (row.ratio, row.ci_low, row.verdict) == (pytest.approx(1.5), None, "too few rounds")


def test_what_differs_is_named_and_no_verdict_is_drawn() -> None:
    records = [experiment("a", {"base": 1, "one": 1}), experiment("b", {"base": 1, "other": 1.5})]
    records[1]["environments"]["e" * 64]["device"] = "another machine"
    row = compared(records, ("a", 0), ("b", 1))["decode_tokens_per_second"]
    assert (row.ratio, row.verdict, row.reason) == (None, "not comparable", "other conditions: device another machine instead of a test machine")
    assert row.value == pytest.approx(45)


def test_counted_bytes_are_the_same_in_every_session() -> None:
    row = compared([experiment("a", {"base": 1, "one": 2}), experiment("b", {"base": 1, "other": 4})], ("a", 1), ("b", 1))["weight_bytes"]
    assert (row.ratio, row.ci_low, row.ci_high, row.verdict) == (0.5, 0.5, 0.5, "better")


def test_quality_is_paired_by_the_blocks_of_the_same_text() -> None:
    def with_quality(key: str, name: str, factor: float) -> dict[str, Any]:
        blocks = {"base": {"perplexity": [20.0 + i for i in range(16)]}, name: {"perplexity": [factor * (20.0 + i) for i in range(16)]}}
        return experiment(key, {"base": 1, name: 1}, quality=blocks, quality_runs={n: {"details": {"quality": PROTOCOL}} for n in blocks})

    records = [with_quality("a", "one", 1.1), with_quality("b", "other", 1.32)]
    row = compared(records, ("a", 1), ("b", 1))["perplexity"]
    assert (row.ratio, row.verdict) == (pytest.approx(1.2), "worse")
    for run in records[1]["runs"]:
        if run["kind"] == "quality":
            run["details"]["quality"] = PROTOCOL | {"text_sha256": "b2"}
    assert "quality text_sha256 b2 instead of a1" in str(compared(records, ("a", 1), ("b", 1))["perplexity"].reason)


def test_a_control_that_refutes_one_of_the_experiments_refutes_what_is_made_of_it() -> None:
    refuted = experiment("a", {"base": 1, "one": 1.5, "base, again": 1.2})
    refuted["experiment"]["spec"]["control"] = True
    for records in ([refuted, experiment("b", {"base": 1, "other": 3})], [experiment("b", {"base": 1, "other": 3}), refuted]):
        first, last = (r["experiment"]["id"] for r in records)
        found = compared(records, (first, 1), (last, 1))
        assert found["decode_tokens_per_second"].verdict == "unreliable" and found["weight_bytes"].verdict != "unreliable"


def test_a_variant_that_did_not_fit_says_so_in_either_place() -> None:
    lost = {("other", r): {"status": "out_of_memory", "reason": "tried to allocate 20 GiB", "measurements": []} for r in range(5)}
    records = [experiment("a", {"base": 1, "one": 1}), experiment("b", {"base": 1, "other": 1.5}, runs=lost)]
    row = compared(records, ("a", 1), ("b", 1))["decode_tokens_per_second"]
    assert (row.value, row.status, row.verdict, row.reason) == (None, Status.OUT_OF_MEMORY, "did not fit", "tried to allocate 20 GiB")
    row = compared(records, ("b", 1), ("a", 1))["decode_tokens_per_second"]
    assert (row.value, row.verdict) == (pytest.approx(30), "not comparable") and "the baseline has no value: out_of_memory" in str(row.reason)


def _side(position: int, baseline: Sequence[float], own: Sequence[float]) -> Side:
    outcomes = [
        tuple(Outcome(i, "succeeded", None, float(v), 1, (), "gpu", None, None) for i, v in enumerate(values)) for values in (baseline, own)
    ]
    return Side(Cell(METRICS["decode_tokens_per_second"], {}, tuple(outcomes)), position, 0, 1, "cuda")


def _rejections(noise: float, sessions: float, repeats: int) -> tuple[float, float]:
    """Shares of comparisons of two equal variants that are called better or worse, and of intervals that miss the truth."""
    draw, called, missed = np.random.default_rng(7), 0, 0
    for _ in range(repeats):
        sides = []
        for _ in range(2):
            session = math.exp(draw.normal(0, sessions))  # the clocks of the day, the same for all that was measured on it
            base, own = (30 * session * np.exp(draw.normal(0, noise, 5)) for _ in range(2))
            sides.append(_side(1, base, 1.5 * own))
        found = effect(METRICS["decode_tokens_per_second"], *sides)
        called += verdicts([(METRICS["decode_tokens_per_second"], found)])[0] in ("better", "worse")
        assert found.low is not None and found.high is not None
        missed += not found.low <= 1 <= found.high
    return called / repeats, missed / repeats


@pytest.mark.parametrize("sessions", [0.0, 0.3])
def test_equal_variants_of_two_sessions_are_told_apart_in_at_most_one_of_twenty(sessions: float) -> None:
    called, missed = _rejections(0.05, sessions, 600)
    assert called <= 0.075 and missed <= 0.075, "5 % and what 600 draws may miss it by"
    assert missed > 0.01, "the interval is not merely wide"
