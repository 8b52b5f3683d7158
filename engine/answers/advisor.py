"""Which variants answer a question, from measurements alone: what fails a constraint, what is not measured, and the ranking of the rest.

Only what shares model, workload with its options, point, hardware and baseline is ranked together. The rank is by the ratio to the
baseline of the same round, which drift and other sessions leave alone; by value, within one experiment, where the baseline has none.
Two variants are told apart where their 95 % intervals do not overlap. A constraint that was not measured is never met.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from engine.analysis import Row, rows
from engine.answers.advice import Advice, Candidate, Check, Group, Place, Relation, percent
from engine.answers.question import OBJECTIVES, Question, fits
from engine.cells import cells, point_label
from engine.comparability import conditions
from engine.control import refutation
from engine.decisive import Decisive, decisive
from engine.measurement import Status
from engine.metrics import METRICS
from engine.modelspec import ModelSpec
from engine.record import Record, control_position, imported_from

_NO_RESULT = (Status.OUT_OF_MEMORY, Status.UNSUPPORTED, Status.FAILED, Status.TIMED_OUT)


@dataclass(frozen=True)
class Measured:
    """What the advisor needs of one experiment. runs: {(position, metric, point_label): the runs whose values count there}.

    unreliable: why its timings decide nothing, where its A/A control says so.
    conditions: all that must be equal for its ratios to be ranked with another experiment's.
    """

    id: str
    title: str
    created_at: str
    model: str
    source: str
    device: str
    workload: str
    conditions: dict[str, str]
    decides: Decisive
    variants: tuple[tuple[str, bool], ...]
    rows: tuple[Row, ...]
    runs: dict[tuple[int, str, str], tuple[dict[str, Any], ...]]
    unreliable: str | None = None
    control: int | None = None

    @property
    def baseline(self) -> int:
        return next(i for i, (_, baseline) in enumerate(self.variants) if baseline)

    def points(self) -> dict[str, Row]:
        """{label: a row there} of what the workload was timed at."""
        return {r.point_label: r for r in self.rows if r.metric == self.decides.speed}

    def at(self, position: int, metric: str, label: str) -> Row | None:
        """A variant's row at a point; of a metric that has no such points (weights, perplexity) its only row."""
        own = {r.point_label: r for r in self.rows if r.position == position and r.metric == metric}
        apart = len(own) == 1 and not own.keys() & self.points().keys()
        return own.get(label) or (next(iter(own.values())) if apart else None)


def read(record: Record) -> Measured:
    """record: loaded with the samples of its quality runs. Raises ValueError for a metric that this version does not know, and for what
    another tool measured."""
    experiment, spec = record["experiment"], record["experiment"]["spec"]
    if (tool := imported_from(record)) is not None:
        raise ValueError(f"{tool} measured it, and what is imported is not recommended")
    model = ModelSpec.model_validate(spec["model"])
    base = next(i for i, v in enumerate(record["variants"]) if v["baseline"])
    used = next((r["environment"] for r in record["runs"] if r["variant"] == base and r["environment"]), None)
    facts = record["environments"].get(used, {})
    found = tuple(rows(record))
    return Measured(
        id=experiment["id"], title=experiment["title"], created_at=experiment["created_at"] or "", model=str(model), source=model.source,
        device=facts.get("device") or experiment["bound_device"] or experiment["device"], workload=spec["workload"]["name"],
        conditions=conditions(record),
        decides=decisive(record), variants=tuple((v["name"], v["baseline"]) for v in record["variants"]),
        rows=found, runs=_runs(record), unreliable=refutation(found), control=control_position(record),
    )  # fmt: skip


def _runs(record: Record) -> dict[tuple[int, str, str], tuple[dict[str, Any], ...]]:
    ids = {(r["variant"], r["kind"], r["round"]): r["id"] for r in record["runs"]}
    found = {}
    for cell in cells(record):
        kind = "quality" if cell.metric.kind in ("quality", "fidelity") else "speed"
        for position, outcomes in enumerate(cell.outcomes):
            found[position, cell.metric.name, point_label(cell.point)] = tuple(
                {"id": ids.get((position, kind, o.round)), "kind": kind, "round": o.round} for o in outcomes if o.value is not None
            )
    return found


def advise(question: Question, experiments: Sequence[Measured]) -> Advice:
    """Raises ValueError where no experiment has the model, the device or the point that is asked for."""
    chosen = _chosen(question, experiments)
    together: dict[tuple[Any, ...], list[tuple[Measured, str]]] = {}
    for measured in sorted(chosen, key=lambda m: m.created_at, reverse=True):
        objective = _objective(question, measured)
        for label in [label for label, row in measured.points().items() if objective and fits(row.point, question.point)]:
            base = measured.at(measured.baseline, str(objective), label)
            alone = None if base and base.value is not None else measured.id
            key = (measured.model, measured.device, measured.workload, label, *sorted(measured.conditions.items()), objective, alone)
            together.setdefault(key, []).append((measured, label))
    groups = [(_group(question, key, members), members[0][0]) for key, members in together.items()]
    # first what has an answer, and before all what rests on enough rounds to tell variants apart
    groups.sort(key=lambda pair: (not pair[0].ranked, pair[0].undecided))
    return Advice(question, tuple(g for g, _ in groups), tuple(dict.fromkeys(_notes(groups))))


def _chosen(question: Question, experiments: Sequence[Measured]) -> list[Measured]:
    found = [m for m in experiments if not question.real_models or m.source not in ("shape", "none")]
    for field, wanted, known, same in (
        ("model", question.model, {m.model for m in found}, lambda m: m.model == question.model),
        ("device", question.device, {m.device for m in found}, lambda m: str(question.device).lower() in m.device.lower()),
    ):
        if wanted is not None:
            found = [m for m in found if same(m)]
            if not found:
                raise ValueError(f"{field}: nothing was measured with {wanted!r}; there is {', '.join(sorted(known)) or 'nothing at all'}")
    labels = {label: row.point for m in found if _objective(question, m) for label, row in m.points().items()}
    if question.point and labels and not any(fits(p, question.point) for p in labels.values()):
        asked = ", ".join(f"{k}={v}" for k, v in question.point)
        raise ValueError(f"point: nothing was measured at {asked}; there is {'; '.join(sorted(labels))}")
    return found


def _objective(question: Question, measured: Measured) -> str | None:
    """The metric to rank by; None where this experiment is about something else."""
    if question.objective == "quality":
        return _quality(measured)
    if question.objective == "speed":
        return measured.decides.speed
    name = question.memory if question.objective == "memory" else OBJECTIVES[question.objective][1]
    return name if any(r.metric == name for r in measured.rows) else None


def _quality(measured: Measured) -> str | None:
    """Likeness to the baseline is no quality."""
    name = measured.decides.quality
    return name if name is not None and METRICS[name].kind == "quality" else None


def _throughput(measured: Measured) -> str | None:
    return next((n for n in measured.decides.names if METRICS[n].kind == "speed" and METRICS[n].higher_is_better), None)


def _group(question: Question, key: tuple[Any, ...], members: Sequence[tuple[Measured, str]]) -> Group:
    *_, objective, alone = key
    by: Literal["ratio", "value"] = "value" if alone else "ratio"
    candidates = [
        _candidate(question, measured, label, i, objective, by)
        for measured, label in members for i in range(len(measured.variants)) if i != measured.control
    ]  # fmt: skip
    failed = [c for c in candidates if c.failures("failed")]
    unknown = [c for c in candidates if not c.failures("failed") and c.failures("not measured")]
    first = members[0][0]
    return Group(
        model=first.model, device=first.device, workload=first.workload, point=members[0][1], baseline=first.variants[first.baseline][0],
        objective=objective, compared_by=by, experiments={m.id: m.title for m, _ in members},
        ranked=tuple(_places([c for c in candidates if c not in failed and c not in unknown], objective, by)),
        failed=tuple(failed), not_measured=tuple(unknown),
    )  # fmt: skip


def _candidate(question: Question, measured: Measured, label: str, position: int, objective: str, by: str) -> Candidate:
    quality, speed = _quality(measured), _throughput(measured)
    names = dict.fromkeys(n for n in (objective, question.memory, speed, measured.decides.quality or "perplexity") if n is not None)
    shown = {name: measured.at(position, name, label) for name in names}
    name, baseline = measured.variants[position]
    checks = [_rankable(objective, shown[objective], measured, baseline, by)]
    if question.max_memory_bytes is not None:
        checks.append(_limit("memory", question.memory, shown[question.memory], question.max_memory_bytes, measured))
    if question.max_quality_loss is not None:
        checks.append(_loss(quality, shown[quality] if quality else None, question.max_quality_loss, measured, baseline))
    if question.min_speed is not None:
        checks.append(_limit("speed", speed, shown[speed] if speed else None, question.min_speed, measured))
    runs = {(r["kind"], r["round"]): r for n, row in shown.items() if row for r in measured.runs[position, n, row.point_label]}
    return Candidate(
        experiment=measured.id, title=measured.title, variant=name, position=position, baseline=baseline, shown=shown,
        checks=tuple(checks), runs=tuple(runs[k] for k in sorted(runs)),
    )  # fmt: skip


def _rankable(objective: str, row: Row | None, measured: Measured, baseline: bool, by: str) -> Check:
    """Whether there is a value to rank by. What did not fit there is no answer; what nobody measured might be one."""
    if row is None or row.value is None or _refuted(objective, measured):
        return _without_value("objective", objective, row, measured)
    if by == "ratio" and row.ratio is None and not baseline:
        return Check("objective", objective, "not measured", f"{METRICS[objective].label.lower()} has no ratio to the baseline: {row.reason}")
    return Check("objective", objective, "met", f"{METRICS[objective].label.lower()}: {METRICS[objective].format(row.value)}")


def _without_value(constraint: str, name: str, row: Row | None, measured: Measured) -> Check:
    label = METRICS[name].label.lower()
    if row is not None and row.status in _NO_RESULT and constraint != "quality":  # a failed quality run says nothing
        return Check(constraint, name, "failed", f"{label}: {row.verdict}" + (f" ({row.reason})" if row.reason else ""))
    if row is not None and row.value is not None:
        return Check(constraint, name, "not measured", f"{label} is unreliable: {measured.unreliable}")
    reason = "random weights" if measured.source == "shape" and METRICS[name].kind == "quality" else row.reason if row else None
    return Check(constraint, name, "not measured", f"{label} is not measured" + (f" ({reason})" if reason else ""))


def _refuted(name: str, measured: Measured) -> bool:
    return measured.unreliable is not None and METRICS[name].kind == "speed"


def _limit(constraint: str, name: str | None, row: Row | None, limit: float, measured: Measured) -> Check:
    """A value against a limit: memory must not be above it, a throughput not below."""
    if name is None:
        return Check(constraint, measured.decides.speed, "not measured", f"the workload {measured.workload} measures no throughput")
    if row is None or row.value is None or _refuted(name, measured):
        return _without_value(constraint, name, row, measured)
    metric, sign = METRICS[name], -1 if METRICS[name].higher_is_better else 1
    over, ends = sign * (row.value - limit), [sign * (end - limit) for end in (row.low, row.high) if end is not None]
    text = f"{metric.label.lower()} {metric.format(row.value)}, "
    text += f"{metric.format(over)} beyond the limit of {metric.format(limit)}" if over > 0 else f"limit {metric.format(limit)}"
    certain = bool(ends) and all((end > 0) == (over > 0) for end in ends)
    if not certain:
        text += ", but its interval lies on both sides of it" if ends else ", but too few rounds for an interval"
    return Check(constraint, name, "failed" if over > 0 else "met", text, over if over > 0 else None, certain)


def _loss(name: str | None, row: Row | None, limit: float, measured: Measured, baseline: bool) -> Check:
    """What of the baseline's quality a variant loses, against a limit."""
    if name is None:
        return Check("quality", "perplexity", "not measured", f"the workload {measured.workload} measures no quality")
    if row is None or row.value is None:
        return _without_value("quality", name, row, measured)
    if baseline:
        return Check("quality", name, "met", f"{METRICS[name].label.lower()}: it is what the others are compared with")
    if row.ratio is None:
        return Check("quality", name, "not measured", f"{METRICS[name].label.lower()} has no ratio to the baseline: {row.reason}")
    sign = -1 if METRICS[name].higher_is_better else 1
    loss, ends = sign * (row.ratio - 1), [sign * (end - 1) for end in (row.ci_low, row.ci_high) if end is not None]
    text = f"{METRICS[name].label.lower()} loss {percent(loss)}, "
    text += f"{percent(loss - limit)} beyond the limit of {percent(limit)}" if loss > limit else f"limit {percent(limit)}"
    certain = bool(ends) and all((end > limit) == (loss > limit) for end in ends)
    if not certain:
        text += f", but its interval goes from {percent(min(ends))} to {percent(max(ends))}" if ends else ", but it has no interval"
    return Check("quality", name, "failed" if loss > limit else "met", text, loss - limit if loss > limit else None, certain)


def _places(candidates: Sequence[Candidate], objective: str, by: str) -> Iterator[Place]:
    higher = METRICS[objective].higher_is_better
    ordered = sorted(candidates, key=lambda c: _score(c, by) * (-1 if higher else 1))
    for rank, candidate in enumerate(ordered, 1):
        yield Place(rank, "first" if rank == 1 else _relation(ordered[0], candidate, by), candidate)


def _score(candidate: Candidate, by: str) -> float:
    row = candidate.objective
    assert row is not None and row.value is not None
    return row.value if by == "value" else 1.0 if row.ratio is None else row.ratio


def _interval(candidate: Candidate, by: str) -> tuple[float, float] | None:
    row = candidate.objective
    assert row is not None
    if by == "ratio" and candidate.baseline:
        return (1.0, 1.0)
    low, high = (row.ci_low, row.ci_high) if by == "ratio" else (row.low, row.high)
    return (low, high) if low is not None and high is not None else None


def _relation(first: Candidate, other: Candidate, by: str) -> Relation:
    a, b = _interval(first, by), _interval(other, by)
    if a is None or b is None:
        return "too few rounds"
    return "not distinguishable" if a[0] <= b[1] and b[0] <= a[1] else "behind"


def _notes(groups: Sequence[tuple[Group, Measured]]) -> Iterator[str]:
    """Answers to the same model, device, workload and point that are not ranked together, and what differs."""
    seen: dict[tuple[str, ...], tuple[Group, Measured]] = {}
    for group, measured in groups:
        first = seen.setdefault((group.model, group.device, group.workload, group.point), (group, measured))
        if first[0] is not group:
            unlike = [n for n in {**measured.conditions, **first[1].conditions} if first[1].conditions.get(n) != measured.conditions.get(n)]
            why = f"they differ in {', '.join(unlike)}" if unlike else "a baseline has no value, so there is no ratio to compare"
            yield f"“{first[1].title}” and “{measured.title}” cannot be ranked together: {why}."
