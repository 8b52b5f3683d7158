"""Claims held against records: which rows test a claim, and the verdict on it. Reads records through engine.analysis; owns the rule.

The rule, for one measurement (one variant against the claim's own baseline, at one point):

- its interval is the 95 % interval of the row, unadjusted, brought into the unit of the claim. Inside the claimed range: reproduced.
  Overlapping it: compatible. Outside: not reproduced.
- a number that repeats exactly (counted bytes, engine/metrics.py) needs no interval: it is its own.
- anything else without an interval, such as a time of fewer than three rounds, is "estimate only". It is shown and decides nothing.
- the right variant under other conditions (model, baseline, workload, device, point) is not comparable, and says what differs. A claim
  about the size of one model has nothing to do with another model.

A claim that several measurements test is reproduced or not reproduced where all of them say so, and compatible where they disagree or lie
on both sides of the range: then it holds under some conditions only. Of several, the one in the middle is shown. No measurement, and a
test of this repository shows the answer: that one. Nothing at all: not measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.analysis import Row, rows
from engine.answers.claims import Claim, Claimed, Settle, differing, matches
from engine.control import refutation
from engine.metrics import METRICS, Metric, repeats_exactly
from engine.modelspec import ModelSpec
from engine.record import Record, control_position
from engine.verdicts import join

REPRODUCED, COMPATIBLE, NOT_REPRODUCED = "reproduced", "compatible", "not reproduced"
ESTIMATE, NOT_COMPARABLE, NOT_MEASURED = "estimate only", "not comparable", "not measured"
VERDICTS = (REPRODUCED, COMPATIBLE, NOT_REPRODUCED, ESTIMATE, NOT_COMPARABLE, NOT_MEASURED)
_DECIDED = (REPRODUCED, COMPATIBLE, NOT_REPRODUCED)
# A ratio of two counts may miss the end of a range by its last bits.
_ROUNDING = 1e-9
_FEW = 3
"""Reasons why something was not comparable that are told; the others are like them."""


@dataclass(frozen=True)
class Measurement:
    """One number that tests a claim, in the claim's unit; low and high are None where it has no interval. own: not a reference result."""

    experiment: str
    title: str
    variant: str
    baseline: str | None
    point: str
    hardware: str
    own: bool
    estimate: float
    low: float | None
    high: float | None
    n_rounds: int
    verdict: str


@dataclass
class Evidence:
    """What records say about one claim: measurements, why others that come near are not comparable, and what gave no number."""

    measurements: list[Measurement] = field(default_factory=list)
    misses: list[str] = field(default_factory=list)
    without: list[str] = field(default_factory=list)

    def extend(self, other: Evidence) -> None:
        self.measurements += other.measurements
        self.misses += other.misses
        self.without += other.without


@dataclass(frozen=True)
class Assessment:
    """A claim with its verdict. `shown`: the measurement in the middle of those that decide. reason: in words, where there is more to say."""

    claim: Claim
    verdict: str
    shown: Measurement | None
    reason: str | None
    measurements: tuple[Measurement, ...]

    def by_hardware(self) -> list[tuple[bool, str, str, Measurement]]:
        """[(own, hardware, verdict there, the measurement in the middle)], the user's own machines first."""
        places = sorted({(not m.own, m.hardware) for m in self.measurements})
        found = []
        for foreign, hardware in places:
            here = [m for m in self.measurements if (not m.own, m.hardware) == (foreign, hardware)]
            found.append((not foreign, hardware, combined(self.claim.claimed, here), _middle(here)))
        return found


def evidence(claim: Claim, record: Record, *, own: bool) -> Evidence:
    """Everything that one record says about one claim. Raises ValueError for a record that this version cannot read."""
    found = Evidence()
    settle, spec = claim.settle, record["experiment"]["spec"]
    if settle is None or spec["workload"]["name"] != settle.workload:
        return found
    if claim.quantity in ("value", "saved") and str(ModelSpec.model_validate(spec["model"])) not in settle.models:
        return found
    for position, variant in enumerate(record["variants"]):
        if position == control_position(record):
            continue
        if (wanted := settle.baselines(variant["stack"])) is None:
            continue
        hardware, kind = _hardware(record, position)
        problem = differing(settle, spec["model"], spec["workload"], kind)
        base = _baseline(wanted, record, position)
        if problem is None and base is None and wanted:
            problem = f"measured without a variant {' or '.join(wanted)} beside it"
        if problem is not None:
            if not any(_values(record, position, claim.metric)):
                continue
            found.misses.append(f"{record['experiment']['title']}: {problem}")
            continue
        found.extend(_of_pair(claim, settle, record, base, position, hardware, kind, own))
    return found


def assess(claim: Claim, found: Evidence) -> Assessment:
    """The verdict over all that was found."""
    measured = tuple(found.measurements)
    if measured:
        verdict = combined(claim.claimed, measured)
        deciding = [m for m in measured if m.verdict in _DECIDED] or list(measured)
        return Assessment(claim, verdict, _middle(deciding), _reason(claim, verdict, deciding), measured)
    if claim.test is not None and claim.shows is not None:
        return Assessment(claim, claim.shows, None, f"shown by {claim.test}", ())
    if found.misses:
        return Assessment(claim, NOT_COMPARABLE, None, _few(found.misses), ())
    return Assessment(claim, NOT_MEASURED, None, claim.unsettled or _few(found.without) or "no such run yet", ())


def combined(claimed: Claimed, measured: Iterable[Measurement]) -> str:
    """One word for several: they agree, or the claim holds in some of the cases. Estimates decide nothing beside verdicts."""
    decided = [m for m in measured if m.verdict in _DECIDED]
    words = {m.verdict for m in decided}
    if not words:
        return ESTIMATE
    agree = words == {REPRODUCED} or (len(words) == 1 and len(_sides(claimed, decided)) == 1)
    return words.pop() if agree else COMPATIBLE


def _sides(claimed: Claimed, measured: Iterable[Measurement]) -> set[bool]:
    """{whether above the claimed range} of those that are outside of it."""
    return {claimed.high is not None and m.estimate > claimed.high for m in measured}


def _few(reasons: Sequence[str]) -> str:
    different = list(dict.fromkeys(reasons))
    return "; ".join(different[:_FEW]) + (f"; and {len(different) - _FEW} more" if len(different) > _FEW else "")


def judge(claimed: Claimed, low: float, high: float) -> str:
    """The verdict on an interval."""
    bottom = -float("inf") if claimed.low is None else claimed.low - abs(claimed.low) * _ROUNDING
    top = float("inf") if claimed.high is None else claimed.high + abs(claimed.high) * _ROUNDING
    if bottom <= low and high <= top:
        return REPRODUCED
    return COMPATIBLE if low <= top and high >= bottom else NOT_REPRODUCED


def _reason(claim: Claim, verdict: str, deciding: Sequence[Measurement]) -> str | None:
    if verdict == ESTIMATE:
        rounds = max(m.n_rounds for m in deciding)
        return f"{rounds} round{'s' * (rounds != 1)}, so there is no interval; three are needed"
    if verdict == NOT_REPRODUCED:
        return "more than claimed" if True in _sides(claim.claimed, deciding) else "less than claimed"
    if verdict == REPRODUCED or len(deciding) == 1:
        return None
    inside, outside = (sum(m.verdict == word for m in deciding) for word in (REPRODUCED, NOT_REPRODUCED))
    where = "outside, on both sides of it" if inside == 0 and len(_sides(claim.claimed, deciding)) == 2 else "outside"
    return f"{inside} of {len(deciding)} measurements inside the range, {outside} {where}"


def _middle(measured: Sequence[Measurement]) -> Measurement:
    ordered = sorted(measured, key=lambda m: m.estimate)
    return ordered[(len(ordered) - 1) // 2]


def _hardware(record: Record, position: int) -> tuple[str, str]:
    """(name, kind) of the device that a variant was measured on; of the experiment where its runs do not say."""
    environments = (record["environments"].get(r["environment"]) for r in record["runs"] if r["variant"] == position)
    facts: dict[str, Any] = next((e for e in environments if e), {})
    device = str(record["experiment"].get("bound_device") or record["experiment"]["device"])
    return str(facts.get("device", device)), str(facts.get("device_kind", "cuda" if "cuda" in device else "cpu"))


def _values(record: Record, position: int, metric: str) -> Iterator[bool]:
    """Of each measurement of a metric by a variant, whether it gave a number."""
    for run in record["runs"]:
        if run["variant"] == position:
            yield from (m["value"] is not None for m in run["measurements"] if m["metric"] == metric)


def _baseline(wanted: Sequence[str], record: Record, position: int) -> int | None:
    """Another variant with one of the wanted stacks, the first that is named."""
    for text in wanted:
        for other, variant in enumerate(record["variants"]):
            if other != position and matches(text, variant["stack"]):
                return other
    return None


def _of_pair(
    claim: Claim, settle: Settle, record: Record, base: int | None, position: int, hardware: str, kind: str, own: bool
) -> Evidence:  # fmt: skip
    """Two variants by themselves, the claim's baseline as the baseline, whatever it was in the experiment."""
    found, metric = Evidence(), METRICS[claim.metric]
    chosen = [position] if base is None else [base, position]
    both = rows(_alone(record, chosen, claim.metric))
    title = record["experiment"]["title"]
    if (reason := _unreliable(record, metric)) is not None:
        found.misses.append(f"{title}: its timings are unreliable: {reason}")
        return found
    for row in (r for r in both if r.metric == claim.metric and r.position == len(chosen) - 1):
        if any(row.point.get(k) not in wanted for k, wanted in settle.point.items()):
            found.misses += [f"{title}: at {row.point_label}"] if row.value is not None else []
            continue
        of_base = next((r.value for r in both if r.metric == claim.metric and r.position == 0 and r.point == row.point), None)
        numbers = _numbers(claim, row, of_base)
        if numbers is None:
            (found.without if row.value is None else found.misses).append(f"{title}: {join(row.verdict, row.reason)}")
            continue
        verdict = _judged(claim.claimed, metric, kind, *numbers)
        found.measurements.append(Measurement(
            experiment=record["experiment"]["id"], title=title, variant=row.variant, point=row.point_label, hardware=hardware, own=own,
            baseline=None if base is None else record["variants"][base]["name"], estimate=numbers[0], low=numbers[1], high=numbers[2],
            n_rounds=row.n_rounds, verdict=verdict,
        ))  # fmt: skip
    return found


def _alone(record: Record, positions: Sequence[int], metric: str) -> Record:
    """The record as if it had these variants and this metric only; the first is the baseline."""
    variants = [record["variants"][p] | {"baseline": i == 0} for i, p in enumerate(positions)]
    runs = [
        r | {"variant": positions.index(r["variant"]), "measurements": [m for m in r["measurements"] if m["metric"] == metric]}
        for r in record["runs"] if r["variant"] in positions
    ]  # fmt: skip
    experiment = record["experiment"] | {"spec": record["experiment"]["spec"] | {"control": False}}  # asked before: see _unreliable
    return record | {"experiment": experiment, "variants": variants, "runs": runs}


def _unreliable(record: Record, metric: Metric) -> str | None:
    """Why this experiment's timings decide nothing, where the claim is about one."""
    asked = metric.kind == "speed" and control_position(record) is not None
    return refutation(rows(record)) if asked else None


def _numbers(claim: Claim, row: Row, of_base: float | None) -> tuple[float, float | None, float | None] | None:
    """(estimate, low, high) in the claim's unit; None where there is no number."""
    if row.value is None:
        return None
    if claim.quantity == "value":
        return row.value, row.low, row.high
    if claim.quantity == "saved":
        return None if of_base is None else (of_base - row.value, None, None)
    if row.ratio is None or (claim.quantity == "times less" and row.ratio == 0):
        return None
    ratio, low, high = row.ratio, row.ci_low, row.ci_high
    if claim.quantity == "times less":
        return 1 / ratio, None if high is None else 1 / high, None if low is None else 1 / low
    less = 1.0 if claim.quantity == "change" else 0.0
    return ratio - less, None if low is None else low - less, None if high is None else high - less


def _judged(claimed: Claimed, metric: Metric, kind: str, estimate: float, low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return judge(claimed, low, high)
    return judge(claimed, estimate, estimate) if repeats_exactly(metric, kind) else ESTIMATE
