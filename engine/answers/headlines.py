"""The three answers of the first page: smallest that keeps the quality, fastest that fits, best on both. Each is asked of the advisor.

Only *best on both* adds a rule: of the advisor's ranking, those that no other beats in speed and memory (the Pareto front), and of these
the one whose speed gain times memory gain over the baseline is largest. Where an answer is missing it says which run is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from engine.answers.advice import Candidate, Group, Place, percent
from engine.answers.advisor import Measured, advise
from engine.answers.question import MEMORY_METRICS, Question
from engine.metrics import METRICS, format_bytes
from engine.tradeoff import pareto_front
from engine.verdicts import MIN_ROUNDS

LOSS = 0.01
"""Of the baseline's quality, what counts as kept."""
CALL_PEAK = "peak_memory_bytes"

Name = Literal["smallest", "fastest", "both"]


@dataclass(frozen=True)
class Headline:
    """One answer. metrics: what decides it, the first it is ranked by. place: the variant named; None: `missing` says why.

    missing: which run or number is missing, also beside an answer that rests on too little. again: whether measuring
    the experiment `from_experiment` again, with more rounds or variants, would mend it.
    """

    name: Name
    label: str
    metrics: tuple[str, ...]
    group: Group | None
    place: Place | None
    missing: str | None
    again: bool
    from_experiment: str


def headlines(together: Sequence[Measured], budget_bytes: float, point: str | None = None) -> list[Headline]:
    """together: experiments that may be ranked together, the one that leads first; all three answers are of one point of it.

    point: a label of its points, its first where not given.
    """
    lead = together[0]
    known = list(lead.points())
    label = point if point in known else known[0] if known else None
    memory = lead.decides.memory if lead.decides.memory in MEMORY_METRICS else CALL_PEAK
    fits = CALL_PEAK if any(r.metric == CALL_PEAK and r.value is not None for r in lead.rows) else memory
    random = lead.source in ("shape", "none")  # their quality is never measured: nothing to keep
    loss = None if random else LOSS
    kept = "quality unknown" if random else f"within {percent(LOSS)} quality"
    asked: list[tuple[Name, str, tuple[str, ...], Question]] = [
        ("smallest", f"Smallest, {kept}" if random else f"Smallest {kept}", (memory,), Question("memory", memory, max_quality_loss=loss)),
        ("fastest", f"Fastest that fits {_size(budget_bytes)}", (lead.decides.speed, fits), Question("speed", fits, budget_bytes)),
        ("both", f"Best on both (Pareto), {kept}", (lead.decides.speed, memory), Question("speed", memory, max_quality_loss=loss)),
    ]  # fmt: skip
    return [_answer(name, text, metrics, question, together, label) for name, text, metrics, question in asked]


def _answer(
    name: Name, text: str, metrics: tuple[str, ...], question: Question, together: Sequence[Measured], label: str | None
) -> Headline:
    lead = together[0]
    group = next((g for g in advise(question, together).groups if g.point == label and lead.id in g.experiments), None)
    place = None
    if group is not None and group.ranked:
        place = _best_on_both(group, *metrics) if name == "both" else group.ranked[0]
    missing, again = _missing(lead, group, place)
    return Headline(name, text, metrics, group, place, missing, again, lead.id)


def _best_on_both(group: Group, speed: str, memory: str) -> Place | None:
    gains = [(place, _gain(place.candidate, speed), _gain(place.candidate, memory)) for place in group.ranked]
    known = [(place, a, b) for place, a, b in gains if a is not None and b is not None]
    front = pareto_front([a for _, a, _ in known], [b for _, _, b in known], True, True) if known else np.zeros(0, dtype=bool)
    best = [(a * b, place) for (place, a, b), on_front in zip(known, front, strict=True) if on_front]
    return max(best, key=lambda pair: pair[0])[1] if best else None


def _gain(candidate: Candidate, metric: str) -> float | None:
    """How many times better than the baseline; None where it cannot be said."""
    if candidate.baseline:
        return 1.0
    row = candidate.shown.get(metric)
    if row is None or not row.ratio:
        return None
    return row.ratio if METRICS[metric].higher_is_better else 1 / row.ratio


def _missing(lead: Measured, group: Group | None, place: Place | None) -> tuple[str | None, bool]:
    """(what is missing in a sentence, whether measuring again would mend it)."""
    if group is None:
        base = lead.variants[lead.baseline][0]
        return f"No run of {base} has been timed yet: the baseline is what all others are compared with", True
    if len(lead.variants) - (lead.control is not None) == 1:
        return f"Only the baseline, {group.baseline}, has been measured: nothing to compare it with", True
    if place is not None:
        rounds = place.candidate.objective.n_rounds if place.candidate.objective else 0
        few = f"{rounds} of at least {MIN_ROUNDS} rounds, too few for a verdict"
        return (few, True) if rounds < MIN_ROUNDS else (None, False)
    if group.not_measured:
        first = group.not_measured[0]
        return f"{first.variant}: {first.failures('not measured')[0].text}" + _more(len(group.not_measured) - 1), True
    nearest = min(group.failed, key=lambda c: min((f.by for f in c.failures("failed") if f.by is not None), default=float("inf")))
    return f"None does. {nearest.variant} comes nearest: {nearest.failures('failed')[0].text}", False


def _more(others: int) -> str:
    return f", and {others} more" if others else ""


def _size(number: float) -> str:
    """As people wrote it: 24 GB is 24 x 10^9."""
    return f"{number / 1e9:g} GB" if number % 1e6 == 0 else format_bytes(number)
