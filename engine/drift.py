"""Finds timings that rise or fall within one run: a device that heats up, a warm-up that was too short. Pure functions, no torch.

The rule, for the samples of one timing in the order of measuring, at least 8 of them: it drifts if the Mann-Kendall test (Mann 1945)
rejects "no trend" at 0.1 % (normal approximation with continuity correction), and the median of the last third lies more than 5 %
from the median of the first third. The test alone would also report trends too small to matter, and a change alone would report
noise. Fewer than 8 samples cannot show a trend at this level, so they are never said to drift.

How often it is wrong (tests/benchmarks/simulate_verdicts.py): under independent noise of any size at most once in 1,000 timings.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from engine.measurement import Measurement
from engine.metrics import METRICS

MIN_SAMPLES = 8
LEVEL = 0.001
CHANGE = 0.05


def change(samples: Sequence[float]) -> float | None:
    """Relative change from the first to the last third of a series that drifts, 0.08 for a rise of 8 %; None for one that does not."""
    n = len(samples)
    if n < MIN_SAMPLES or min(samples) <= 0:
        return None
    third = n // 3
    found = statistics.median(samples[-third:]) / statistics.median(samples[:third]) - 1
    return found if abs(found) > CHANGE and trend_p(samples) < LEVEL else None


def trend_p(samples: Sequence[float]) -> float:
    """Two-sided p of the Mann-Kendall test. Ties are not corrected for, which makes it larger."""
    n = len(samples)
    s = abs(sum((b > a) - (b < a) for i, a in enumerate(samples) for b in samples[i + 1 :]))
    return math.erfc(max(s - 1, 0) / math.sqrt(n * (n - 1) * (2 * n + 5) / 18) / math.sqrt(2))


def drifting(measured: Iterable[Measurement]) -> list[dict[str, Any]]:
    """The timings of a run that drift, as JSON facts for its details: [{metric, point, change}]."""
    timings = [(m, change(m.samples)) for m in measured if METRICS[m.metric].kind == "speed"]
    return [{"metric": m.metric, "point": m.point, "change": round(c, 4)} for m, c in timings if c is not None]
