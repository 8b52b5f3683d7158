"""From paired numbers to a verdict word. Owns the rule; knows neither database nor page.

The rule, for one variant, metric and point, with at least 3 rounds in which variant and baseline were both measured on
the same device and environment (perplexity: at least 8 blocks of text that both were measured on):

- effect: the paired log-ratios of variant to baseline, Hodges-Lehmann estimate, 95 % t-interval (engine/statistics.py).
  For perplexity the estimate is the ratio of the two perplexities and the pairs are the blocks.
- equivalent: the whole interval lies within the metric's margin m, that is within [1/(1 + m), 1 + m].
- accuracy: the pairs are the examples, right or wrong. The estimate is the ratio of the two accuracies, its interval the one
  of a ratio of paired proportions on the log scale, and p is McNemar's exact test on the examples that one of them got right.
- F1: the pairs are the examples too, drawn anew by a bootstrap, which gives interval and p (engine/statistics.py).
- better, worse: the estimate lies beyond the margin and p < 0.05 after Holm's adjustment over all that is compared for
  this variant. Where nothing varies from round to round (counted bytes) there is nothing to test: beyond the margin is
  enough, and such a metric takes no part in the adjustment.
- no difference shown: everything else; the measurement is too imprecise, or the difference too small, to say.
- too few rounds: fewer pairs than that. not comparable: there is no ratio, or no baseline that it could be taken to.
- did not fit, failed, unsupported, not measured: there is no value. A run that timed out has failed.
- fidelity: the metric itself compares with the baseline. baseline: the variant is the baseline.
- not paired: measured in two experiments, without a way to compare them (engine/answers/across.py); the ratio is an estimate.
- unreliable: a timing of an experiment whose A/A control failed (engine/control.py).

An experiment that may stop early is looked at K times (engine/specs.py looks). Each look spends an equal part of the error: what
is compared over rounds has an interval of confidence 1 - 0.05 / K, and its p is multiplied by K before Holm's adjustment. By
Bonferroni's inequality an interval at any of the K looks misses the truth, or a verdict is wrong, in at most 5 % of the experiments,
whichever look ends them and however the looks depend on each other.

Apart from that the reported interval is not adjusted, so it may exclude 1 where the verdict is "no difference shown".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from engine import comparability, statistics
from engine.cells import NOT_MEASURED, Outcome, left_out, why_empty
from engine.measurement import Status
from engine.metrics import Metric

ALPHA = 0.05
MIN_ROUNDS = 3
MIN_BLOCKS = 8
# log and exp may move the last bits of a ratio that lies exactly on the margin.
_ROUNDING = 1e-12

_WITHOUT_VALUE: dict[str, str] = {
    Status.OUT_OF_MEMORY: "did not fit", Status.UNSUPPORTED: "unsupported",
    Status.FAILED: "failed", Status.TIMED_OUT: "failed",
}  # fmt: skip


@dataclass(frozen=True)
class Effect:
    """Variant / baseline. `verdict` is set where no test decides; `p` is None where there is nothing to test."""

    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    verdict: str | None = None
    reason: str | None = None


def without_value(status: str) -> str:
    """The verdict on a cell that has no value, from its status."""
    return _WITHOUT_VALUE.get(status, NOT_MEASURED)


def join(*reasons: str | None) -> str | None:
    """Several reasons in one line, None if there are none."""
    return "; ".join(r for r in reasons if r) or None


def compare(metric: Metric, variant: Sequence[Outcome], baseline: Sequence[Outcome], looks: int = 1) -> Effect:
    """The effect of a variant that has at least one value; `baseline` has the same metric and point.

    looks: how many times the experiment may be looked at; more than one where it may stop early.
    """
    if not metric.compared:
        return Effect(verdict="fidelity")
    if metric.higher_is_better is None:
        return not_comparable("neither direction is better")
    if all(o.value is None for o in baseline):
        return not_comparable("the baseline has no value: " + ", ".join(filter(None, why_empty(baseline))))
    both = _of_one_round(variant, baseline)
    differences = [_difference(v, b) for v, b in both]
    pairs = [pair for pair, difference in zip(both, differences, strict=True) if difference is None]
    if both and not pairs:
        return not_comparable(differences[0])
    of_samples = {"blocks": _of_blocks, "examples": _of_examples, "detections": _of_examples}.get(metric.paired_by)
    effect = of_samples(metric, *pairs[-1]) if of_samples and pairs else _of_rounds(metric, pairs, looks)
    unlike = [d for d in differences if d is not None]
    return replace(effect, reason=join(
        effect.reason,
        f"{len(unlike)} of {len(both)} rounds left out: {unlike[0]}" if unlike else None,
        f"of the baseline, {missing}" if (missing := left_out(baseline)) else None,
    ))  # fmt: skip


def verdicts(compared: Sequence[tuple[Metric, Effect]]) -> list[str]:
    """The words for all effects of one variant, in the order given: together, because Holm adjusts over all of them."""
    tested = [i for i, (_, effect) in enumerate(compared) if effect.p is not None and effect.verdict is None]
    adjusted = dict(zip(tested, statistics.holm([compared[i][1].p or 0.0 for i in tested]), strict=True))
    return [effect.verdict or _word(metric, effect, adjusted.get(i)) for i, (metric, effect) in enumerate(compared)]


def _word(metric: Metric, effect: Effect, p: float | None) -> str:
    """`p`: after adjustment; None where nothing varies, so that the margin alone decides."""
    assert effect.ratio is not None and effect.low is not None and effect.high is not None
    margin = math.log1p(metric.margin) + _ROUNDING
    if max(abs(math.log(effect.low)), abs(math.log(effect.high))) <= margin:
        return "equivalent"
    if abs(math.log(effect.ratio)) > margin and (p is None or p < ALPHA):
        return _direction(metric, effect.ratio)
    return "no difference shown"


def _direction(metric: Metric, ratio: float) -> str:
    return "better" if (ratio > 1) == metric.higher_is_better else "worse"


def log_ratios(variant: Sequence[Outcome], baseline: Sequence[Outcome]) -> list[float] | None:
    """Variant / baseline of each round in which both were measured and may be compared; None where a value has no logarithm."""
    pairs = [(v.value or 0.0, b.value or 0.0) for v, b in _of_one_round(variant, baseline) if _difference(v, b) is None]
    return [math.log(v) - math.log(b) for v, b in pairs] if all(v > 0 and b > 0 for v, b in pairs) else None


def _of_one_round(variant: Sequence[Outcome], baseline: Sequence[Outcome]) -> list[tuple[Outcome, Outcome]]:
    base = {o.round: o for o in baseline if o.value is not None}
    return [(o, base[o.round]) for o in variant if o.value is not None and o.round in base]


def not_comparable(reason: str | None) -> Effect:
    return Effect(verdict="not comparable", reason=reason)


def _difference(variant: Outcome, baseline: Outcome) -> str | None:
    """Why two runs must not be compared. What one of them did not record is no reason."""
    if variant.device != baseline.device:
        return f"measured on {variant.device}, the baseline on {baseline.device}"
    for what, own, base in (("environment", variant.environment, baseline.environment), ("text", variant.protocol, baseline.protocol)):
        if own is not None and base is not None and own != base:
            return f"another {what} than the baseline's: {comparability.in_words(comparability.of_facts(own, base))}"
    return None


def _of_rounds(metric: Metric, pairs: Sequence[tuple[Outcome, Outcome]], looks: int) -> Effect:
    values = [(v.value, b.value) for v, b in pairs if v.value is not None and b.value is not None]
    few = None
    if len(values) < MIN_ROUNDS:
        few = f"{len(values)} paired round{'s' * (len(values) != 1)}; {MIN_ROUNDS} are needed for a verdict"
    if any(b <= 0 for _, b in values):
        return not_comparable("the baseline is 0; there is no ratio to it")
    if values and all(v == 0 for v, _ in values):
        return Effect(ratio=0.0, verdict="too few rounds" if few else _direction(metric, 0.0), reason=few)
    if any(v <= 0 for v, _ in values):
        return not_comparable("0 in some rounds only; there is no ratio")
    logs = [math.log(v) - math.log(b) for v, b in values]
    if few:
        estimate = statistics.ratio(statistics.hodges_lehmann(logs)) if logs else None
        return Effect(ratio=estimate, verdict="too few rounds", reason=few)
    return tested(logs, statistics.hodges_lehmann(logs), looks)


def _of_blocks(metric: Metric, variant: Outcome, baseline: Outcome) -> Effect:
    """Perplexity: one run each, paired by blocks of the same tokens; exp(mean of their log-ratios) is the ratio."""
    assert variant.value is not None and baseline.value is not None
    if min(variant.value, baseline.value, *variant.samples, *baseline.samples) <= 0:  # an error can be exactly 0
        return not_comparable("0 in some blocks; there is no ratio")
    centre = math.log(variant.value) - math.log(baseline.value)
    n = len(variant.samples)
    if n != len(baseline.samples):
        return not_comparable(f"{n} blocks of text, the baseline has {len(baseline.samples)}")
    if n < MIN_BLOCKS:
        reason = f"{n} blocks of text; {MIN_BLOCKS} are needed for a verdict"
        if n < variant.n_samples:
            reason = "the values of its blocks are not loaded"
        return Effect(ratio=statistics.ratio(centre), verdict="too few rounds", reason=reason)
    logs = [math.log(v) - math.log(b) for v, b in zip(variant.samples, baseline.samples, strict=True)]
    return tested(logs, centre)


def _of_examples(metric: Metric, variant: Outcome, baseline: Outcome) -> Effect:
    """Accuracy and F1: the same labelled examples, each right (1) or wrong (0) in both, or no part in F1 (-1)."""
    n = len(variant.samples)
    if n != len(baseline.samples):
        return not_comparable(f"{n} examples, the baseline has {len(baseline.samples)}")
    if n < MIN_BLOCKS:
        reason = "its examples are not loaded" if n < variant.n_samples else f"{n} examples; {MIN_BLOCKS} are needed for a verdict"
        return Effect(verdict="too few rounds", reason=reason)
    if max(variant.samples) <= 0 or max(baseline.samples) <= 0:
        return not_comparable("one of them got no example right; there is no ratio")
    if metric.paired_by == "detections":
        centre, low, high, p = statistics.paired_f1(variant.samples, baseline.samples)
    else:
        centre, half, p = statistics.paired_proportions(variant.samples, baseline.samples)
        low, high = centre - half, centre + half
    return Effect(statistics.ratio(centre), statistics.ratio(low), statistics.ratio(high), p)


def tested(logs: Sequence[float], centre: float, looks: int = 1) -> Effect:
    """The effect of paired log-ratios, at least two of them, at the level of one of so many looks."""
    low, high = statistics.t_interval(logs, centre, 1 - ALPHA / looks)
    p = min(1.0, looks * statistics.p_value(logs, centre)) if statistics.spread(logs) else None
    return Effect(statistics.ratio(centre), statistics.ratio(low), statistics.ratio(high), p)
