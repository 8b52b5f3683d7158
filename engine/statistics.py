"""Intervals and tests of paired comparisons. Pure functions on numbers; knows nothing of runs, metrics or verdicts.

With d_1 .. d_n the paired log-ratios (variant minus baseline, one per round), mean spread s (n - 1 in the denominator):

- estimate  c = Hodges-Lehmann = median of all (d_i + d_j) / 2 with i <= j: as good as the mean on normal noise, and one
  bad round does not drag it along;
- interval  c +- t(0.975, n - 1) * s / sqrt(n): the t-interval, centred on the estimate, so that it always holds it;
- p-value   2 * P(T(n - 1) > |c| / (s / sqrt(n))), the test that belongs to this interval.

Everything is on the log scale; `ratio` brings it back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import special, stats

CONFIDENCE = 0.95
# Two equal counts may differ in the last bit after a division; no measured time repeats to twelve digits.
_NO_SPREAD = 1e-12
_RESAMPLES = 9999
# exp beyond this is not a finite number, which JSON does not have.
_LARGEST_LOG = 700.0


def hodges_lehmann(x: Sequence[float]) -> float:
    """Median of all Walsh averages (x_i + x_j) / 2, i <= j; at least one number."""
    a = np.asarray(x, dtype=float)
    i, j = np.triu_indices(len(a))
    return float(np.median((a[i] + a[j]) / 2))


def spread(x: Sequence[float]) -> float:
    """Standard deviation with n - 1; 0.0 where the numbers are equal but for rounding. At least two numbers."""
    s = float(np.std(np.asarray(x, dtype=float), ddof=1))
    return 0.0 if s < _NO_SPREAD else s


def t_interval(x: Sequence[float], centre: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Interval centre +- t * s / sqrt(n), 95 % unless told otherwise; the centre alone where nothing varies. At least two numbers."""
    half = _t_quantile((1 + confidence) / 2, len(x) - 1) * spread(x) / math.sqrt(len(x))
    return centre - half, centre + half


def _t_quantile(share: float, freedom: float) -> float:
    """Of Student's t; scipy.stats.t.ppf gives the same after a hundred times as long, and a page asks for hundreds."""
    return float(special.stdtrit(freedom, share))


def _t_two_sided(t: float, freedom: float) -> float:
    return float(2 * special.stdtr(freedom, -abs(t)))


def p_value(x: Sequence[float], centre: float) -> float:
    """Two-sided p-value of `centre` against 0; where nothing varies it is 1.0 for a centre of 0 and 0.0 otherwise."""
    s = spread(x)
    if s == 0.0:
        return 1.0 if abs(centre) < _NO_SPREAD else 0.0
    return _t_two_sided(centre / (s / math.sqrt(len(x))), len(x) - 1)


def welch(a: Sequence[float], b: Sequence[float], centre: float, confidence: float = CONFIDENCE) -> tuple[float, float, float]:
    """(ends of the interval, two-sided p against 0) of `centre`, an estimate of how much a lies above b, two independent series.

    Variance s_a^2 / n_a + s_b^2 / n_b, degrees of freedom by Satterthwaite (Welch 1947). A series without spread adds nothing to
    either, so that with b all alike this is the t-interval of a. At least two numbers in each.
    """
    parts = [(spread(x) ** 2 / len(x), len(x) - 1) for x in (a, b)]
    variance = sum(v for v, _ in parts)
    if variance == 0.0:
        return centre, centre, 1.0 if abs(centre) < _NO_SPREAD else 0.0
    freedom = variance**2 / sum(v**2 / n for v, n in parts)
    error = math.sqrt(variance)
    half = _t_quantile((1 + confidence) / 2, freedom) * error
    return centre - half, centre + half, _t_two_sided(centre / error, freedom)


def pair_counts(a: Sequence[float], b: Sequence[float]) -> tuple[int, int, int]:
    """(both right, only a, only b) of 0/1 pairs."""
    of_a, of_b = np.asarray(a, dtype=float) > 0.5, np.asarray(b, dtype=float) > 0.5
    return int((of_a & of_b).sum()), int((of_a & ~of_b).sum()), int((of_b & ~of_a).sum())


def paired_proportions(a: Sequence[float], b: Sequence[float]) -> tuple[float, float, float]:
    """(log of the ratio of the shares, half width of its 95 % interval, exact p-value of McNemar's test), of 0/1 pairs.

    With x both right, y only a, z only b: variance of the log ratio = (y + z) / ((x + y)(x + z)) (Nam and Blackwelder 2002);
    p = two-sided binomial test of y against y + z trials at 1/2 (McNemar 1947). Both shares must be above 0.
    """
    both, only_a, only_b = pair_counts(a, b)
    of_a, of_b = both + only_a, both + only_b
    half = float(stats.norm.ppf((1 + CONFIDENCE) / 2)) * math.sqrt((only_a + only_b) / (of_a * of_b))
    p = float(stats.binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0
    return math.log(of_a / of_b), half, p


def paired_f1(a: Sequence[float], b: Sequence[float]) -> tuple[float, float, float, float]:
    """(log of the ratio of two F1s, ends of its 95 % interval, two-sided p) from the same examples, both F1s above 0.

    Each example is 1 (found), 0 (missed or wrongly predicted) or -1 (no part in F1 = 2 found / (2 found + wrong)). Percentile
    bootstrap over examples (Efron 1979), a and b drawn together, from a fixed seed: p is twice the smaller share of draws
    on either side of no difference. A draw is made by counting how often each of the 9 kinds of pairs comes, which has the
    distribution of drawing the examples themselves.
    """
    kinds = np.bincount(3 * (np.asarray(a, dtype=int) + 1) + np.asarray(b, dtype=int) + 1, minlength=9).reshape(1, 3, 3)
    centre = float(_log_f1(kinds.sum(2))[0] - _log_f1(kinds.sum(1))[0])
    draws = np.random.default_rng(0).multinomial(len(a), kinds.ravel() / len(a), size=_RESAMPLES).reshape(-1, 3, 3)
    logs = _log_f1(draws.sum(2)) - _log_f1(draws.sum(1))
    low, high = np.quantile(logs, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    beyond = min(int((logs <= 0).sum()), int((logs >= 0).sum()))
    return centre, min(float(low), centre), max(float(high), centre), min(1.0, 2 * (beyond + 1) / (_RESAMPLES + 1))


def _log_f1(counts: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """counts (draws, 3) of -1, 0 and 1; an F1 of 0, which a draw of few examples may have, is held to a finite number."""
    found, wrong = counts[:, 2], counts[:, 1]
    return np.log(np.maximum(2 * found / np.maximum(2 * found + wrong, 1), math.exp(-_LARGEST_LOG)))  # type: ignore[no-any-return]


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values in the order given: the k-th smallest of m times m - k + 1, never falling, at most 1."""
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, p_values[index] * (len(p_values) - rank)))
        adjusted[index] = highest
    return adjusted


def ratio(log_ratio: float) -> float:
    """exp, held to finite positive numbers."""
    return math.exp(min(max(log_ratio, -_LARGEST_LOG), _LARGEST_LOG))


def value_interval(values: Sequence[float], value: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """t-interval of repeated values, 95 % unless told otherwise, on the log scale if all are positive; widened to hold `value`, the median."""
    if len(set(values)) == 1:  # counted bytes: the way through logarithms would move the last digits
        return min(values[0], value), max(values[0], value)
    positive = min(values) > 0
    x = [math.log(v) for v in values] if positive else list(values)
    low, high = t_interval(x, float(np.mean(x)), confidence)
    if positive:
        low, high = ratio(low), ratio(high)
    return min(low, value), max(high, value)
