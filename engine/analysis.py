"""What a record says: the summary that tables, charts, CSV and JSON are made from. Reads the record and nothing else.

The rule behind the verdicts is in engine/verdicts.py, the formulas in engine/statistics.py.
"""

from __future__ import annotations

import statistics as medians
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from engine.cells import Cell, cells, left_out, point_label, why_empty
from engine.control import judged
from engine.measurement import Point, Status
from engine.record import Record, base_position, control_position, imported_from, planned_looks
from engine.statistics import value_interval
from engine.verdicts import ALPHA, MIN_ROUNDS, Effect, compare, join, verdicts, without_value

if TYPE_CHECKING:
    import pandas as pd

IMPORTED = "imported"
"""The word in place of a verdict on what another tool measured."""


@dataclass(frozen=True)
class Row:
    """One variant x metric x point. Numbers are in the metric's SI unit; None where there is none.

    value: median over rounds of what each run measured. low, high: its 95 % interval over rounds, from 3 rounds on.
    ratio: variant / baseline, with its interval, 95 % (more where the experiment may stop early). reason: why there is no value, or what was left out.
    n_samples: raw samples behind the value; for perplexity, blocks of text.
    """

    experiment_id: str
    variant: str
    position: int
    baseline: bool
    metric: str
    label: str
    unit: str
    kind: str
    point: Point
    point_label: str
    status: str
    reason: str | None
    value: float | None
    low: float | None
    high: float | None
    n_rounds: int
    n_samples: int
    ratio: float | None
    ci_low: float | None
    ci_high: float | None
    verdict: str


def rows(record: Record, base: int | None = None) -> list[Row]:
    """Every variant x metric x point, by variant, then in the order of the metric table.

    While runs are queued or running, it holds what exists so far; what is to come has the status "not measured". A row
    without a value says by its status and reason why, so that what did not fit or failed is never missing. Two things
    have no rows: quality of a model with random weights (no run measures it), and fidelity of the baseline and its control to itself.
    base: the position of the variant that all are compared with, where it is not the experiment's baseline; fidelity stays to that.
    A record that another tool's file was made into has the word "imported" in place of every verdict.
    Raises ValueError for a metric that this version does not know.
    """
    natural, control = base_position(record), control_position(record)
    against = natural if base is None else base
    result = _rows(record, against)
    if (tool := imported_from(record)) is not None:
        return [_imported(row, tool) for row in result]
    # the control repeats the baseline, so it judges by what it is against that, whatever else is compared with
    of_control = result if against == natural or control is None else _rows(record, natural)
    return judged(result, [r for r in of_control if r.position == control])


def _imported(row: Row, tool: str) -> Row:
    """What another tool measured has its value and no verdict: neither how it was measured nor beside what is known."""
    if row.value is None:
        return row
    return replace(row, ratio=None, ci_low=None, ci_high=None, verdict=IMPORTED, reason=f"measured by {tool}; no verdict is drawn from it")


def _rows(record: Record, base: int) -> list[Row]:
    """As `rows`, without the control's judgement."""
    found, planned = cells(record), planned_looks(record)
    itself = (base_position(record), control_position(record))
    result: list[Row] = []
    for position in range(len(record["variants"])):
        own = [c for c in found if c.metric.compared or position not in itself]
        effects = [(cell.metric, _effect(cell, position, base, planned)) for cell in own]
        words = verdicts(effects)
        result += [_row(record, c, (position, base), e, word, planned) for c, (_, e), word in zip(own, effects, words, strict=True)]
    return result


def summary(record: Record) -> pd.DataFrame:
    """`rows` as a frame: one column per field of Row, in that order. A missing number is NaN, a missing reason None."""
    return frame(rows(record))


def frame(found: Sequence[Row]) -> pd.DataFrame:
    """Rows of any origin as such a frame."""
    # Not at the top: a machine that only measures prints its results as JSON, and needs no pandas for that.
    import pandas as pd

    names = [f.name for f in fields(Row)]
    kinds = {"position": "int64", "n_rounds": "int64", "n_samples": "int64", "baseline": "bool"}
    kinds |= dict.fromkeys(("value", "low", "high", "ratio", "ci_low", "ci_high"), "float64")
    columns = {name: pd.Series([getattr(row, name) for row in found], dtype=kinds.get(name, "object")) for name in names}
    return pd.DataFrame(columns, columns=names)


def exit_code(record: Record) -> int:
    """0 if every run ended in a status that is a result (out of memory and unsupported are), else 1."""
    return 0 if all(Status(run["status"]).is_result for run in record["runs"]) else 1


@dataclass(frozen=True)
class Progress:
    """How far an experiment is. phase: of the run that runs now. seconds_left: None until a run has been timed."""

    done: int
    total: int
    phase: str | None
    seconds_left: float | None


def progress(record: Record) -> Progress:
    """Remaining time: for each run left, the median seconds of the ended runs of its kind (of all, if none of it ended)."""
    runs = record["runs"]
    left = [r for r in runs if not Status(r["status"]).ended]
    timed = [r for r in runs if Status(r["status"]).ended and r["seconds"] is not None]
    of_kind = {kind: [t["seconds"] for t in timed if t["kind"] == kind] for kind in {r["kind"] for r in runs}}
    everything = [t["seconds"] for t in timed]
    seconds = float(sum(medians.median(of_kind[r["kind"]] or everything) for r in left)) if timed else None
    phase = next((r["phase"] for r in runs if r["status"] == Status.RUNNING), None)
    return Progress(len(runs) - len(left), len(runs), phase, seconds)


def _effect(cell: Cell, position: int, base: int, planned_looks: int) -> Effect:
    own = cell.outcomes[position]
    if all(o.value is None for o in own):
        status, reason = why_empty(own)
        return Effect(verdict=without_value(status), reason=reason)
    if position == base:
        return Effect(verdict="baseline", reason=left_out(own))
    effect = compare(cell.metric, own, cell.outcomes[base], planned_looks)
    return replace(effect, reason=join(effect.reason, left_out(own)))


def _row(record: Record, cell: Cell, positions: tuple[int, int], effect: Effect, verdict: str, planned_looks: int) -> Row:
    """positions: of the variant, and of the one that it is compared with."""
    position, base = positions
    variant, metric, own = record["variants"][position], cell.metric, cell.outcomes[position]
    values = [o.value for o in own if o.value is not None]
    value = medians.median(values) if values else None
    confidence = 1 - ALPHA / planned_looks
    low, high = value_interval(values, value, confidence) if value is not None and len(values) >= MIN_ROUNDS else (None, None)
    return Row(
        experiment_id=record["experiment"]["id"],
        variant=variant["name"], position=position, baseline=position == base,
        metric=metric.name, label=metric.label, unit=metric.unit, kind=metric.kind,
        point=cell.point, point_label=point_label(cell.point),
        status=Status.SUCCEEDED.value if values else why_empty(own)[0], reason=effect.reason,
        value=value, low=low, high=high, n_rounds=len(values), n_samples=sum(o.n_samples for o in own),
        ratio=effect.ratio, ci_low=effect.low, ci_high=effect.high, verdict=verdict,
    )  # fmt: skip
