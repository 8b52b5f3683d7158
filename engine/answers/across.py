"""The effect of a variant against one of another experiment, where everything that must be equal is equal in both.

Rounds of two experiments are no pairs: what changed between the two sessions, clocks and heat and other programs, would be taken
for an effect of the variant, and an interval over rounds within each knows nothing of it. So each variant is first compared with
the baseline of its own experiment, round by round, and then the two changes with each other (an indirect comparison through a
common comparator, Bucher et al. 1997). With a the log-ratios of the variant to its own baseline over its n_a rounds, and b those of
the other to its own over n_b:

- estimate  HL(a) - HL(b), Hodges-Lehmann as in engine/statistics.py; what multiplies a whole session cancels;
- interval and p by Welch: variance s_a^2 / n_a + s_b^2 / n_b (engine/statistics.py welch);
- a variant that is the baseline of its experiment has nothing to be compared with there: its part is 0 and without spread, so that
  against the other experiment's baseline a variant has the effect that it has against its own.

Both baselines must be the same stack under the same conditions: engine/comparability.differences must be empty, which the caller
has asked. Looked at K_a and K_b times (engine/verdicts.py), the interval has confidence 1 - 0.05 / (K_a K_b) and p is multiplied so.

Two things are the same in every session and are compared as within one experiment: quality, over the same blocks or examples, and
what is counted and repeats exactly (engine/metrics.py). Where there is no way - two baselines with each other, or a baseline without
a value at that point - the word is "not paired": the ratio of the two medians, without interval.
"""

from __future__ import annotations

import statistics as medians
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from engine import statistics
from engine.analysis import IMPORTED, Row, rows
from engine.cells import Cell, Outcome, cells, left_out, point_key, why_empty
from engine.comparability import differences, in_words
from engine.control import refutation, unreliable
from engine.metrics import METRICS, Metric, repeats_exactly
from engine.record import Record, base_position, control_position, only, planned_looks
from engine.variant_ref import VariantRef
from engine.verdicts import (
    ALPHA,
    MIN_ROUNDS,
    Effect,
    compare,
    join,
    log_ratios,
    not_comparable,
    verdicts,
    without_value,
)

NOT_PAIRED = "not paired"
_THROUGH = "through the baselines of both experiments"
_OWN = "against the same baseline in its own experiment"
_UNPAIRED = "measured in two experiments: an estimate without interval"


@dataclass(frozen=True)
class Side:
    """One of the two variants: its cell, its position and that of its experiment's baseline in it, and how often it may be looked at.

    cell is None where its experiment does not have the metric at that point.
    """

    cell: Cell | None
    position: int
    baseline: int
    looks: int
    device_kind: str

    @property
    def own(self) -> tuple[Outcome, ...]:
        return self.cell.outcomes[self.position] if self.cell else ()

    @property
    def values(self) -> list[float]:
        return [o.value for o in self.own if o.value is not None]

    @property
    def is_baseline(self) -> bool:
        return self.position == self.baseline

    def changes(self) -> list[float] | None:
        """Log-ratios to its own baseline; none at all for the baseline itself, None where one cannot be taken."""
        if self.is_baseline or self.cell is None:
            return []
        return log_ratios(self.own, self.cell.outcomes[self.baseline])


@dataclass(frozen=True)
class _Part:
    """What of an experiment a comparison needs: the variants asked for, its baseline and its control."""

    record: Record
    kept: tuple[int, ...]

    @classmethod
    def of(cls, record: Record, positions: Sequence[int]) -> _Part:
        control = control_position(record)
        kept = tuple(dict.fromkeys((base_position(record), *positions, *(() if control is None else (control,)))))
        return cls(only(record, kept), kept)

    def place(self, ref: VariantRef) -> int:
        return self.kept.index(ref.position)

    @cached_property
    def own(self) -> list[Row]:
        """Against its own baseline."""
        return rows(self.record)

    @cached_property
    def cells(self) -> dict[tuple[str, str], Cell]:
        return {(c.metric.name, point_key(c.point)): c for c in cells(self.record)}

    @cached_property
    def device_kind(self) -> str:
        """As the runs recorded it; a CPU where none did, whose counts are not said to repeat."""
        return next((str(f["device_kind"]) for f in self.record["environments"].values() if "device_kind" in f), "cpu")

    def against(self, base: int) -> list[Row]:
        return self.own if base == base_position(self.record) else rows(self.record, base)

    def side(self, at: int, place: tuple[str, str]) -> Side:
        return Side(self.cells.get(place), at, base_position(self.record), planned_looks(self.record), self.device_kind)


def against(records: Mapping[str, Record], refs: Sequence[VariantRef]) -> dict[VariantRef, list[Row]]:
    """The rows of each variant, compared with the first of them. Positions and names are still those of a part of its experiment."""
    base = refs[0]
    parts = {key: _Part.of(records[key], [r.position for r in refs if r.experiment == key]) for key in dict.fromkeys(r.experiment for r in refs)}
    result = {}
    for ref in refs:
        part, at = parts[ref.experiment], parts[ref.experiment].place(ref)
        if ref.experiment == base.experiment:
            found = [row for row in part.against(part.place(base)) if row.position == at]
        elif unlike := differences(records[ref.experiment], records[base.experiment]):
            found = [_unlike(row, in_words(unlike)) for row in part.own if row.position == at]
        else:
            found = _across(part, at, parts[base.experiment], parts[base.experiment].place(base))
        result[ref] = [replace(row, baseline=ref == base) for row in found]
    return result


def _unlike(row: Row, why: str) -> Row:
    if row.value is None or not METRICS[row.metric].compared or row.verdict == IMPORTED:
        return row
    return replace(row, ratio=None, ci_low=None, ci_high=None, verdict="not comparable", reason=f"other conditions: {why}")


def _across(part: _Part, at: int, other: _Part, base: int) -> list[Row]:
    own = [row for row in part.own if row.position == at]
    places = [(row.metric, point_key(row.point)) for row in own]
    effects = [(METRICS[place[0]], effect(METRICS[place[0]], part.side(at, place), other.side(base, place))) for place in places]
    result = [
        replace(row, ratio=e.ratio, ci_low=e.low, ci_high=e.high, verdict=word, reason=e.reason)
        for row, (_, e), word in zip(own, effects, verdicts(effects), strict=True)
    ]
    for refuted in filter(None, (refutation(p.own) for p in (part, other))):
        result = unreliable(result, refuted)
    return result


def effect(metric: Metric, variant: Side, other: Side) -> Effect:
    """Variant / other, whose verdict is yet to be drawn where it has a p or an interval (engine/verdicts.py verdicts)."""
    if not variant.values:
        status, reason = why_empty(variant.own)
        return Effect(verdict=without_value(status), reason=reason)
    if not metric.compared:
        return Effect(verdict="fidelity", reason="to the baseline of its own experiment")
    if metric.higher_is_better is None:
        return not_comparable("neither direction is better")
    if not other.values:
        return not_comparable("the baseline has no value: " + ", ".join(filter(None, why_empty(other.own))))
    found = _direct(metric, variant, other) if _same_in_every_session(metric, variant, other) else _through_baselines(variant, other)
    remarks = (left_out(variant.own), f"of the baseline, {missing}" if (missing := left_out(other.own)) else None)
    return replace(found, reason=join(found.reason, *remarks))


def _same_in_every_session(metric: Metric, variant: Side, other: Side) -> bool:
    return metric.paired_by != "rounds" or all(repeats_exactly(metric, side.device_kind) for side in (variant, other))


def _direct(metric: Metric, variant: Side, other: Side) -> Effect:
    """Quality over its samples, counts as they are. That devices and environments are equal has been asked, by what must be."""
    if metric.paired_by == "rounds":
        ratio = _of_medians(variant, other)
        return Effect(ratio, ratio, ratio) if ratio is not None else not_comparable("0 has no ratio")
    first, second = ([replace(o, round=0, device=None, environment=None) for o in side.own if o.value is not None][-1:] for side in (variant, other))
    return compare(metric, first, second)


def _through_baselines(variant: Side, other: Side) -> Effect:
    if variant.is_baseline and other.is_baseline:
        return _not_paired(variant, other, "one and the same stack in two experiments, so the ratio is how the sessions differ")
    a, b = variant.changes(), other.changes()
    if a is None or b is None:
        return not_comparable("0 in some rounds; there is no ratio")
    needed = [found for side, found in ((variant, a), (other, b)) if not side.is_baseline]
    if not all(needed):
        return _not_paired(variant, other, "the baseline of its experiment has no value there")
    a, b = a or [0.0, 0.0], b or [0.0, 0.0]
    centre = statistics.hodges_lehmann(a) - statistics.hodges_lehmann(b)
    if (fewest := min(len(found) for found in needed)) < MIN_ROUNDS:
        reason = f"{fewest} paired round{'s' * (fewest != 1)} with the own baseline; {MIN_ROUNDS} are needed for a verdict"
        return Effect(ratio=statistics.ratio(centre), verdict="too few rounds", reason=reason)
    looks = variant.looks * other.looks
    low, high, p = statistics.welch(a, b, centre, 1 - ALPHA / looks)
    tested = min(1.0, looks * p) if high > low else None
    return Effect(
        statistics.ratio(centre), statistics.ratio(low), statistics.ratio(high), tested, reason=_THROUGH if len(needed) == 2 else _OWN
    )


def _not_paired(variant: Side, other: Side, why: str) -> Effect:
    return Effect(ratio=_of_medians(variant, other), verdict=NOT_PAIRED, reason=f"{_UNPAIRED}; {why}")


def _of_medians(variant: Side, other: Side) -> float | None:
    value, reference = medians.median(variant.values), medians.median(other.values)
    return value / reference if value > 0 and reference > 0 else None
