"""The advisor's answer: its parts, the words for them, and the JSON that programs read. Decides nothing; see engine/answers/advisor.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from engine import settings
from engine.analysis import Row
from engine.answers.question import OBJECTIVES, Question
from engine.metrics import METRICS

Outcome = Literal["met", "failed", "not measured"]
Relation = Literal["first", "behind", "not distinguishable", "too few rounds"]

RELATION = {
    "first": "first", "behind": "behind the first", "not distinguishable": "not distinguishable from the first",
    "too few rounds": "too few rounds to tell it from the first",
}  # fmt: skip


@dataclass(frozen=True)
class Check:
    """One constraint and what the measurements say to it.

    constraint: memory, quality, speed, or objective (whether there is a value to rank by). by: how far beyond the limit, in
    the metric's unit (of quality, a fraction); None unless failed by a number. certain: the whole 95 % interval says the same.
    """

    constraint: str
    metric: str
    outcome: Outcome
    text: str
    by: float | None = None
    certain: bool = True


@dataclass(frozen=True)
class Candidate:
    """One variant at one point. shown: {metric: its row, None where it has none}, the objective first. runs: those behind these rows."""

    experiment: str
    title: str
    variant: str
    position: int
    baseline: bool
    shown: dict[str, Row | None]
    checks: tuple[Check, ...]
    runs: tuple[dict[str, Any], ...]

    @property
    def objective(self) -> Row | None:
        return next(iter(self.shown.values()))

    def failures(self, outcome: Outcome) -> list[Check]:
        return [c for c in self.checks if c.outcome == outcome]


@dataclass(frozen=True)
class Place:
    rank: int
    relation: Relation
    candidate: Candidate


@dataclass(frozen=True)
class Group:
    """Variants that may be ranked together: one model, workload, point, hardware and baseline.

    compared_by: ratio to the baseline of the same round, or value where the baseline has none (then of one experiment only).
    """

    model: str
    device: str
    workload: str
    point: str
    baseline: str
    objective: str
    compared_by: Literal["ratio", "value"]
    experiments: dict[str, str]
    ranked: tuple[Place, ...]
    failed: tuple[Candidate, ...]
    not_measured: tuple[Candidate, ...]

    @property
    def undecided(self) -> bool:
        """Whether rounds are too few to tell the first from any other."""
        return any(p.relation == "too few rounds" for p in self.ranked)

    def where(self) -> str:
        model = f"for {self.model} " if self.model != "none" else ""
        return f"On {self.device} {model}({', '.join(filter(None, (self.workload, self.point)))})"

    def sentence(self) -> str:
        """The answer in words: what is first, with its values, and what cannot be told from it."""
        if not self.ranked:
            left = [(len(self.failed), "failed"), (len(self.not_measured), "not measured")]
            return f"{self.where()}: no variant meets every constraint: " + ", ".join(f"{n} {word}" for n, word in left if n) + "."
        first = self.ranked[0].candidate
        values = "; ".join(row_text(name, row, self.baseline) for name, row in first.shown.items())
        parts = [f"{self.where()}: {first.variant}{' (the baseline)' if first.baseline else ''}. {values}."]
        parts += [f"{c.text[:1].upper()}{c.text[1:]}." for c in first.checks if not c.certain]
        for relation, words in (("not distinguishable", "Not distinguishable from it"), ("too few rounds", "Too few rounds to tell it from")):
            if names := [p.candidate.variant for p in self.ranked if p.relation == relation]:
                parts.append(f"{words}: {', '.join(names)}.")
        return " ".join([*parts, *self._smallest_of_equals()])

    def _smallest_of_equals(self) -> list[str]:
        """Where several cannot be told apart by what was asked for, memory may decide."""
        equals = [p.candidate for p in self.ranked if p.relation in ("first", "not distinguishable")]
        sized = [(row.value, c.variant, row) for c in equals for row in c.shown.values() if row and row.kind == "memory" and row.value is not None]
        if len(sized) < 2 or len({row.metric for _, _, row in sized}) > 1 or sized[0][2].metric == self.objective:
            return []
        value, variant, row = min(sized, key=lambda s: s[0])
        return [f"Of these, {variant} takes least: {row.label.lower()} {METRICS[row.metric].format(value)}."] if value < sized[0][0] else []


@dataclass(frozen=True)
class Advice:
    """groups: those with an answer first, of these such as rest on enough rounds, newest experiments first.

    notes: which of them look alike and yet cannot be ranked together, and why.
    """

    question: Question
    groups: tuple[Group, ...]
    notes: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """What `advise --json` prints; a contract with other programs. SI units, fractions; null where there is none.

        {"question", "groups": [{"model", "device", "workload", "point", "baseline", "objective": metric, "compared_by": ratio or value,
        "answer": the sentence, "experiments": [{"id", "title", "link"}], "ranked", "failed", "not_measured"}], "notes": [text]}. Each of the
        three lists has {"variant", "baseline", "experiment": id, "checks": [Check], "measured": {metric: numbers and verdict, or null},
        "runs": [{"id": null in a bundle, "kind", "round"}]}; those of "ranked" also "rank" and "relation" (to the first).
        """
        question = asdict(self.question) | {"point": dict(self.question.point)}
        return {"question": question, "groups": [_group(g) for g in self.groups], "notes": list(self.notes)}


def row_text(name: str, row: Row | None, baseline: str) -> str:
    """'Decode throughput 60 tok/s, 2.00 x float32 (1.90 to 2.10), better', or 'Perplexity not measured'."""
    metric = METRICS[name]
    if row is None or row.value is None:
        return f"{metric.label} {row.verdict if row else 'not measured'}"
    text = f"{metric.label} {metric.format(row.value)}"
    if row.ratio is None:
        return text
    interval = f" ({row.ci_low:.2f} to {row.ci_high:.2f})" if row.ci_low is not None else ""
    return f"{text}, {row.ratio:.2f} x {baseline}{interval}, {row.verdict}"


def question_text(question: Question) -> str:
    """'Fastest decode, peak memory of a call at most 22.4 GiB, quality loss at most 1 %'."""
    parts = [OBJECTIVES[question.objective][0]]
    if question.max_memory_bytes is not None:
        memory = METRICS[question.memory]
        parts.append(f"{memory.label.lower()} at most {memory.format(question.max_memory_bytes)}")
    if question.max_quality_loss is not None:
        parts.append(f"quality loss at most {percent(question.max_quality_loss)}")
    if question.min_speed is not None:
        parts.append(f"throughput at least {question.min_speed:g}")
    return ", ".join(parts)


def percent(fraction: float) -> str:
    return f"{fraction * 100:.3g} %"


def _group(group: Group) -> dict[str, Any]:
    plain = ("model", "device", "workload", "point", "baseline", "objective", "compared_by")
    return {name: getattr(group, name) for name in plain} | {
        "answer": group.sentence(),
        "experiments": [{"id": i, "title": t, "link": settings.experiment_link(i)} for i, t in group.experiments.items()],
        "ranked": [{"rank": p.rank, "relation": p.relation} | _candidate(p.candidate) for p in group.ranked],
        "failed": [_candidate(c) for c in group.failed],
        "not_measured": [_candidate(c) for c in group.not_measured],
    }


def _candidate(candidate: Candidate) -> dict[str, Any]:
    return {
        "variant": candidate.variant, "baseline": candidate.baseline, "experiment": candidate.experiment,
        "checks": [asdict(c) for c in candidate.checks],
        "measured": {name: _row(row) for name, row in candidate.shown.items()}, "runs": list(candidate.runs),
    }  # fmt: skip


def _row(row: Row | None) -> dict[str, Any] | None:
    if row is None:
        return None
    names: Sequence[str] = ("unit", "point", "value", "low", "high", "n_rounds", "ratio", "ci_low", "ci_high", "verdict", "status", "reason")
    return {name: getattr(row, name) for name in names}
