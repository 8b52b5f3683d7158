"""Variants of any experiments as one: the same rows and the same kind of record as of one experiment, and what differs between them.

What is of one experiment keeps its verdicts, by round, against whichever of its variants is the baseline. What is of another is
compared by engine/answers/across.py where nothing stands in engine/comparability.differences, and is "not comparable" with the name
of what differs where something does. Runs are never pooled. Reads records; knows no database and no page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from engine.analysis import Row, frame
from engine.answers.across import against
from engine.cells import NOT_MEASURED, point_key, worst
from engine.comparability import NOT_RECORDED, conditions
from engine.decisive import Decisive, decisive
from engine.measurement import Point
from engine.metrics import METRICS
from engine.record import Record, base_position, device_memory_bytes
from engine.variant_ref import VariantRef
from engine.verdicts import without_value

_UNASKED = "its experiment did not measure this"


@dataclass(frozen=True)
class Device:
    """What an experiment ran on. kind: cpu or cuda, None until a run has said it. memory_bytes: what it has in all."""

    name: str
    kind: str | None
    memory_bytes: int | None


@dataclass(frozen=True)
class Column:
    """One variant of a comparison. name: unique among the columns. variant, title: its own name, and its experiment's.

    baseline: whether the others of its group are compared with it. own_baseline: whether it is its experiment's. added: not chosen,
    there as the baseline. group: those that are compared with one baseline. alike: those whose experiments differ in nothing that must
    be equal. why: why nothing of it is measured; None where something is.
    """

    ref: VariantRef
    name: str
    variant: str
    title: str
    stack: tuple[dict[str, Any], ...]
    device: Device
    source: str
    baseline: bool
    own_baseline: bool
    added: bool
    group: int
    alike: int
    why: str | None = None


if TYPE_CHECKING:
    import pandas as pd

Split = Literal["together", "device", "conditions"]


@dataclass(frozen=True)
class Differing:
    """One fact that is not equal in all experiments of a comparison: {value: titles of the experiments that have it}."""

    key: str
    values: dict[str, tuple[str, ...]]

    def __str__(self) -> str:
        return f"{self.key}: " + "; ".join(f"{value} ({', '.join(titles)})" for value, titles in self.values.items())


@dataclass(frozen=True)
class Comparison:
    """columns: in groups, the baseline of each group first. rows: as engine.analysis.rows, with the position of the column.

    record: all of it as the record of one experiment, to draw samples and answers from; its verdicts mean nothing.
    missing: what was asked for and is not there. base_missing: the baseline asked for, where that is not there.
    """

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    differing: tuple[Differing, ...]
    decides: Decisive
    record: Record
    missing: tuple[VariantRef, ...] = ()
    base_missing: VariantRef | None = None

    def frame(self) -> pd.DataFrame:
        """The rows as engine.analysis.summary gives those of one experiment."""
        return frame(self.rows)

    def points(self) -> list[str]:
        """Labels of the points that the deciding speed, or whatever has points, was measured at."""
        labels = [row.point_label for row in self.rows if row.metric == self.decides.speed]
        return list(dict.fromkeys(labels or [row.point_label for row in self.rows if row.point]))

    def at(self, label: str | None) -> list[Row]:
        """One row per column and metric: at the point of this label, else at the one most like it that the column's experiment has.

        None: the first of `points`.
        """
        wanted = next((r.point for r in self.rows if r.point_label == (label if label is not None else next(iter(self.points()), ""))), {})
        best: dict[tuple[int, str], Row] = {}
        for row in self.rows:
            there = best.get((row.position, row.metric))
            if there is None or _likeness(row.point, wanted) > _likeness(there.point, wanted):
                best[row.position, row.metric] = row
        return list(best.values())


def side_by_side(
    records: Mapping[str, Record], chosen: Sequence[VariantRef], base: VariantRef | None = None, split: Split = "together"
) -> Comparison | None:
    """records: those of the experiments that exist, with the samples of their quality runs. None where none of the chosen is there.

    base: compared with; where it is None or missing, the baseline of the first one's experiment. split: whether all are compared with
    it, or those of each device, or of each set of equal conditions, among themselves: every group has a baseline of its own then.
    """
    there = [ref for ref in dict.fromkeys(chosen) if _exists(records, ref)]
    if not there:
        return None
    wanted = base if base is not None and _exists(records, base) else None
    used_records = {r.experiment: records[r.experiment] for r in (*there, *([wanted] if wanted else []))}
    alike = _alike(used_records)
    columns: list[Column] = []
    found: list[Row] = []
    for number, (group, with_wanted) in enumerate(_groups(there, wanted, {k: _group_key(r, alike[k], split) for k, r in used_records.items()})):
        used = wanted if wanted is not None and with_wanted else VariantRef(group[0].experiment, base_position(records[group[0].experiment]))
        ordered = [used, *(ref for ref in group if ref != used)]
        compared = against(records, ordered)
        found += [replace(row, position=len(columns) + i) for i, ref in enumerate(ordered) for row in compared[ref]]
        columns += [_column(records[r.experiment], r, used, number, alike[r.experiment], added=r not in there) for r in ordered]
    columns = _named(columns)
    complete = [replace(row, variant=columns[row.position].name) for row in _complete(found, columns)]
    shown = [used_records[key] for key in dict.fromkeys(c.ref.experiment for c in columns)]
    return Comparison(
        tuple(replace(c, why=_why(complete, i)) for i, c in enumerate(columns)), tuple(complete), differing(shown),
        Decisive(tuple(dict.fromkeys(name for r in shown for name in decisive(r).names))), joined(used_records, columns),
        tuple(ref for ref in dict.fromkeys(chosen) if ref not in there), base if base != wanted else None,
    )  # fmt: skip


def unreadable(record: Record) -> str | None:
    """Why this version cannot compare an experiment; None where it can."""
    unknown = dict.fromkeys(m["metric"] for run in record["runs"] for m in run["measurements"] if m["metric"] not in METRICS)
    return f"this version does not know the metric {', '.join(unknown)}" if unknown else None


def differing(records: Sequence[Record]) -> tuple[Differing, ...]:
    """What must be equal before verdicts are drawn and is not, with who has which value."""
    titles = unique_titles(records)
    said = {titles[r["experiment"]["id"]]: conditions(r) for r in records}
    result = []
    for key in dict.fromkeys(key for facts in said.values() for key in facts):
        values: dict[str, tuple[str, ...]] = {}
        for title, facts in said.items():
            value = facts.get(key, NOT_RECORDED)
            values[value] = (*values.get(value, ()), title)
        if len(values) > 1:
            result.append(Differing(key, values))
    return tuple(result)


def unique_titles(records: Sequence[Record]) -> dict[str, str]:
    """{id: title}, with the beginning of the id where two have the same title."""
    titles = {r["experiment"]["id"]: str(r["experiment"]["title"]) for r in records}
    return {key: title if list(titles.values()).count(title) == 1 else f"{title} ({key[:6]})" for key, title in titles.items()}


def device_of(record: Record) -> Device:
    """As its first run that recorded one says; by the name of where it runs until then."""
    used = next((r["environment"] for r in record["runs"] if r["environment"]), None)
    facts = record["environments"].get(used, {})
    experiment = record["experiment"]
    return Device(str(facts.get("device") or experiment["bound_device"] or experiment["device"]), facts.get("device_kind"), device_memory_bytes(record))


def joined(records: Mapping[str, Record], columns: Sequence[Column]) -> Record:
    """The columns as variants of one record, which has no control. Runs stay what they are; two of one round are no pair."""
    first = records[columns[0].ref.experiment]
    used = [records[key] for key in dict.fromkeys(c.ref.experiment for c in columns)]
    rounds = max(r["experiment"]["spec"]["rounds"] for r in used)
    spec = first["experiment"]["spec"] | {"control": False, "stop_early": False, "rounds": rounds, "title": "Comparison"}
    return {
        "format": first["format"], "experiment": first["experiment"] | {"id": "comparison", "title": "Comparison", "spec": spec},
        "variants": [{"name": c.name, "stack": list(c.stack), "baseline": i == 0} for i, c in enumerate(columns)],
        "environments": {key: facts for r in used for key, facts in r["environments"].items()},
        "runs": [run | {"variant": i} for i, c in enumerate(columns) for run in records[c.ref.experiment]["runs"] if run["variant"] == c.ref.position],
    }  # fmt: skip


def _likeness(point: Point, wanted: Point) -> int:
    return sum(wanted.get(key) == value for key, value in point.items())


def _exists(records: Mapping[str, Record], ref: VariantRef) -> bool:
    return ref.experiment in records and ref.position < len(records[ref.experiment]["variants"])


def _alike(records: Mapping[str, Record]) -> dict[str, int]:
    """{id: number of the set of experiments of which none differs from another in what must be equal}."""
    numbers: dict[tuple[tuple[str, str], ...], int] = {}
    return {key: numbers.setdefault(tuple(sorted(conditions(record).items())), len(numbers)) for key, record in records.items()}


def _group_key(record: Record, alike: int, split: Split) -> str:
    return {"together": "", "device": device_of(record).name, "conditions": str(alike)}[split]


def _groups(refs: Sequence[VariantRef], wanted: VariantRef | None, keys: Mapping[str, str]) -> list[tuple[list[VariantRef], bool]]:
    """[(variants, whether the wanted baseline belongs to them)]."""
    groups: dict[str, list[VariantRef]] = {}
    for ref in refs:
        groups.setdefault(keys[ref.experiment], []).append(ref)
    return [(group, wanted is not None and keys[wanted.experiment] == key) for key, group in groups.items()]


def _column(record: Record, ref: VariantRef, base: VariantRef, group: int, alike: int, *, added: bool) -> Column:
    variant, experiment = record["variants"][ref.position], record["experiment"]
    return Column(
        ref, variant["name"], variant["name"], experiment["title"], tuple(variant["stack"]), device_of(record), experiment["source"],
        ref == base, own_baseline=variant["baseline"], added=added, group=group, alike=alike,
    )  # fmt: skip


def _named(columns: Sequence[Column]) -> list[Column]:
    """Each with a name that no other has: its own, with its experiment's title, or with its reference."""
    for name in (lambda c: c.variant, lambda c: f"{c.variant} ({c.title})", lambda c: f"{c.variant} ({c.ref})"):
        taken = [c.name for c in columns]
        columns = [replace(c, name=name(c)) if taken.count(c.name) > 1 else c for c in columns]
    return list(columns)


def _complete(found: Sequence[Row], columns: Sequence[Column]) -> list[Row]:
    """Every column has a row of every metric and point that an experiment like its own has, but of fidelity where it is the baseline of
    its experiment; equal points have one text."""
    places: dict[tuple[int, str, str], Row] = {}
    labels: dict[str, Row] = {}
    for row in found:
        labels.setdefault(point_key(row.point), row)
        places.setdefault((columns[row.position].alike, row.metric, point_key(row.point)), row)
    order = sorted(places, key=lambda place: list(METRICS).index(place[1]))
    there = {(row.position, row.metric, point_key(row.point)): row for row in found}
    result = []
    for position, column in enumerate(columns):
        own = [place for place in order if place[0] == column.alike] or order  # nothing at all is known of such experiments yet
        for metric, key in dict.fromkeys(place[1:] for place in own):
            like = next(places[place] for place in own if place[1:] == (metric, key))
            measured = there.get((position, metric, key))
            if measured is not None or not (like.kind == "fidelity" and column.own_baseline):
                result.append(replace(measured or _absent(like, column, position), point=labels[key].point, point_label=labels[key].point_label))
    return result


def _absent(like: Row, column: Column, position: int) -> Row:
    numbers: dict[str, Any] = dict.fromkeys(("value", "low", "high", "ratio", "ci_low", "ci_high"))
    return replace(
        like, experiment_id=column.ref.experiment, variant=column.name, position=position, baseline=column.baseline, status=NOT_MEASURED,
        reason=_UNASKED, n_rounds=0, n_samples=0, verdict=without_value(NOT_MEASURED), **numbers,
    )  # fmt: skip


def _why(found: Sequence[Row], position: int) -> str | None:
    """Why a column has no value at all, by the worst that happened."""
    own = [row for row in found if row.position == position]
    if any(row.value is not None for row in own):
        return None
    worst_of = worst([row.status for row in own])
    none_yet = all(row.reason == _UNASKED for row in own)  # one that measured anything has a value, one that failed a reason
    reason = "no run of it has ended yet" if none_yet else next(row.reason for row in own if row.status == worst_of)
    return f"{without_value(worst_of)}: {reason}" if reason else without_value(worst_of)
