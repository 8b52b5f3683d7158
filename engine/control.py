"""The A/A control: what the baseline, measured a second time, says of an experiment's timings. Reads rows; computes no effect.

Two measurements of one and the same thing differ by what the measurement does wrong: a drift that the interleaving does not
cancel, a machine whose state changes with the order of runs. If a timing of the control is better or worse, every timing of
the experiment is unreliable: better, worse and equivalent, of all variants, become the word `unreliable` with the reason.

How often a sound measurement is rejected: a control is compared as any variant is, so Holm's adjustment holds over all of its
cells together. In at most 5 % of sound experiments one or more of its timings are called better or worse, however many metrics
and points there are; in fewer, because the difference must also be larger than the metric's margin. What it does not find:
differences below that margin, and those that its rounds are too few or too noisy to show. So reliable means not refuted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.analysis import Row

UNRELIABLE = "unreliable"
_CLAIMS = ("better", "worse", "equivalent")


def judged(found: Sequence[Row], of_control: Sequence[Row]) -> list[Row]:
    """The rows with what the control's own rows, which compare it with the baseline, make of their verdicts; as they are without one."""
    own = [r for r in of_control if r.kind == "speed" and r.verdict in ("better", "worse")]
    if not own:
        return list(found)
    return unreliable(found, _reason(own))


def unreliable(found: Sequence[Row], reason: str) -> list[Row]:
    """The rows, with no claim left on a timing."""
    return [
        replace(r, verdict=UNRELIABLE, reason="; ".join(filter(None, (reason, r.reason)))) if r.kind == "speed" and r.verdict in _CLAIMS else r
        for r in found
    ]


def refutation(found: Sequence[Row]) -> str | None:
    """Why the timings of an experiment, all rows of which are given, are unreliable; None where no control says so."""
    return next((str(r.reason).partition("; ")[0] for r in found if r.verdict == UNRELIABLE), None)


def _reason(own: Sequence[Row]) -> str:
    """'the baseline measured again differs from itself: time to first token +6.1 % and 2 more timings'."""
    largest = max(own, key=lambda r: abs(math.log(r.ratio)) if r.ratio else math.inf)
    change = f"{(largest.ratio or 0.0) - 1:+.1%}".replace("%", " %")
    more = f" and {len(own) - 1} more timing{'s' * (len(own) > 2)}" if len(own) > 1 else ""
    return f"the baseline measured again differs from itself: {largest.label.lower()} {change}{more}"
