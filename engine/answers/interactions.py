"""Whether two changes help each other: the measured effect of both together against the product of their single effects.

Reads a record. With a, b and ab the values of the variants that make the one change, the other, and both, and o the baseline's:
product = (a / o) (b / o), together = ab / o, and the interaction is together / product = ab o / (a b), estimated from the four
values of each round as in engine/verdicts.py, whose words and adjustment it takes. Perplexity: over the blocks of the text.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from engine import statistics
from engine.analysis import rows
from engine.cells import Cell, Outcome, cells, point_label
from engine.control import UNRELIABLE, refutation
from engine.metrics import METRICS, Metric
from engine.record import Record, control_position, planned_looks
from engine.registry import discover
from engine.verdicts import MIN_BLOCKS, MIN_ROUNDS, Effect, tested, verdicts

WORDS = {
    "better": "more than the product", "worse": "less than the product", "equivalent": "the product",
    "no difference shown": "no interaction shown",
}  # fmt: skip


@dataclass(frozen=True)
class Interaction:
    """One pair of changes, one metric, one point. Ratios to the baseline; None where a value is missing. reason: why there is no word.

    first, second, both: names of variants. low, high: 95 % interval of together / product, unadjusted. word: one of WORDS' values;
    "more" is on the metric's good side, whatever its direction.
    """

    first: str
    second: str
    both: str
    metric: str
    point_label: str
    of_first: float | None
    of_second: float | None
    together: float | None
    interaction: float | None
    low: float | None
    high: float | None
    word: str
    reason: str | None

    @property
    def product(self) -> float | None:
        return None if self.of_first is None or self.of_second is None else self.of_first * self.of_second


@dataclass(frozen=True)
class _Quad:
    """Positions of the baseline, of the two single changes, and of both."""

    base: int
    first: int
    second: int
    both: int


def interactions(record: Record) -> list[Interaction]:
    """By pair of changes, then by deciding metric and point; empty where no variant makes the changes of two others together."""
    workload = discover().workloads.get(record["experiment"]["spec"]["workload"]["name"])
    names = workload.decides if workload is not None else tuple(METRICS)
    found = [c for c in cells(record) if c.metric.name in names and c.metric.compared and c.metric.higher_is_better is not None]
    found.sort(key=lambda cell: names.index(cell.metric.name))
    # a control that refutes the timings refutes what is made of them
    refuted = refutation(rows(record)) if control_position(record) is not None else None
    return [_judged(row, refuted) for quad in _quads(record) for row in _of(record, quad, found)]


def _judged(row: Interaction, refuted: str | None) -> Interaction:
    timing = refuted is not None and METRICS[row.metric].kind == "speed" and row.word in WORDS.values()
    return replace(row, word=UNRELIABLE, reason=refuted) if timing else row


def _quads(record: Record) -> list[_Quad]:
    """Every variant whose changes against the baseline are those of two others that change different slots."""
    variants = record["variants"]
    base = next(i for i, variant in enumerate(variants) if variant["baseline"])
    changes = [_changes(variants[base]["stack"], variant["stack"]) for variant in variants]
    single = [i for i, change in enumerate(changes) if change]
    return [
        _Quad(base, a, b, both)
        for a, b in itertools.combinations(single, 2) if not changes[a].keys() & changes[b].keys()
        for both in single if changes[both] == changes[a] | changes[b]
    ]  # fmt: skip


def _changes(base: Sequence[dict[str, object]], stack: Sequence[dict[str, object]]) -> dict[str, str | None]:
    """{slot: what is in it, None for what was taken out} where a stack differs from the baseline's."""
    before, after = _by_slot(base), _by_slot(stack)
    return {slot: after.get(slot) for slot in before | after if before.get(slot) != after.get(slot)}


def _by_slot(stack: Sequence[dict[str, object]]) -> dict[str, str]:
    known = discover().techniques
    return {
        known[str(t["technique"])].slot.value if t["technique"] in known else str(t["technique"]): json.dumps(t, sort_keys=True) for t in stack
    }


def _of(record: Record, quad: _Quad, found: Iterable[Cell]) -> list[Interaction]:
    effects = [(cell, *_effect(cell, quad, planned_looks(record))) for cell in found]
    # together: Holm adjusts over all that is asked of this pair of changes
    words = verdicts([(cell.metric, effect) for cell, effect, _ in effects])
    names = [record["variants"][i]["name"] for i in (quad.first, quad.second, quad.both)]
    return [
        Interaction(
            names[0], names[1], names[2], cell.metric.name, point_label(cell.point), *ratios,
            effect.ratio, effect.low, effect.high, WORDS.get(word, word), effect.reason,
        )
        for (cell, effect, ratios), word in zip(effects, words, strict=True)
    ]  # fmt: skip


_Ratios = tuple[float | None, float | None, float | None]


def _effect(cell: Cell, quad: _Quad, planned: int) -> tuple[Effect, _Ratios]:
    """The interaction, and the ratios of the first, of the second and of both to the baseline."""
    of = [{o.round: o for o in cell.outcomes[i] if o.value is not None} for i in (quad.base, quad.first, quad.second, quad.both)]
    quads = [tuple(by_round[r] for by_round in of) for r in sorted(set.intersection(*(set(by_round) for by_round in of)))]
    alike = [q for q in quads if len({json.dumps([o.device, o.environment, o.protocol], sort_keys=True) for o in q}) == 1]
    if not alike:
        missing = "measured under conditions that differ" if quads else "not all four were measured in one round"
        return Effect(verdict="not measured", reason=missing), (None, None, None)
    if any(o.value is None or o.value <= 0 for q in alike for o in q):
        return Effect(verdict="not comparable", reason="a value is 0; there is no ratio to it"), (None, None, None)
    logs = [[math.log(o.value) for o in q if o.value] for q in alike]
    ratios = tuple(statistics.ratio(statistics.hodges_lehmann([q[i] - q[0] for q in logs])) for i in (1, 2, 3))
    return _tested(cell.metric, alike, [_interaction(q) for q in logs], planned), (ratios[0], ratios[1], ratios[2])


def _interaction(logs: Sequence[float]) -> float:
    """Of the logarithms of the baseline, the first, the second and both."""
    base, first, second, both = logs
    return both + base - first - second


def _tested(metric: Metric, alike: Sequence[tuple[Outcome, ...]], logs: Sequence[float], planned: int) -> Effect:
    """planned: looks, for what is compared over rounds; a text is read once."""
    centre, needed, what = statistics.hodges_lehmann(logs), MIN_ROUNDS, "rounds"
    if metric.paired_by == "blocks":
        planned = 1
        centre, needed, what = logs[-1], MIN_BLOCKS, "blocks of text"
        samples = [o.samples for o in alike[-1]]
        whole = len({len(s) for s in samples}) == 1 and all(v > 0 for s in samples for v in s)
        logs = [_interaction([math.log(v) for v in block]) for block in zip(*samples, strict=True)] if whole else []
    elif metric.paired_by != "rounds":
        return Effect(statistics.ratio(centre), verdict="not tested", reason="the interval of four sets of answers is not computed")
    if len(logs) < needed:
        return Effect(statistics.ratio(centre), verdict=f"too few {what}", reason=f"{len(logs)} {what}; {needed} are needed for a word")
    return tested(logs, centre, planned)
