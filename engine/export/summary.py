"""The summaries of an experiment as tables: every variant x metric x point (long), and one row per variant (wide).

Both hold what did not fit, failed or was not measured, with status and reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engine.analysis import Row
from engine.cells import worst
from engine.decisive import decisive
from engine.export import provenance
from engine.export.table import Column, Table, columns
from engine.metrics import METRICS
from engine.record import Record, imported_from
from engine.specs import TechniqueSpec, default_name
from engine.variant_ref import VariantRef

LONG = columns(
    variant_id="text", variant="text", stack="text", baseline="flag", metric="text", label="text", unit="text", kind="text", point="point",
    status="text", reason="text", value="number", low="number", high="number", n_rounds="count", n_samples="count", ratio="number",
    ci_low="number", ci_high="number", verdict="text",
)  # fmt: skip
_WIDE = columns(
    variant_id="text", variant="text", stack="text", baseline="flag", status="text", reason="text", runs="count",
    runs_succeeded="count", point="point",
)  # fmt: skip
_OF_VARIANT = ("variant_id", "variant", "stack", "baseline")


def long(record: Record, rows: Sequence[Row], link: str | None = None) -> Table:
    """One row per variant x metric x point, as `rows` (engine.analysis.rows) has them: value, interval, change, verdict.

    value, low, high: in the metric's SI unit, which its name ends in. ratio: variant / baseline.
    """
    return Table((*provenance.FIRST, *LONG, *provenance.LAST), _long_rows(record, rows, link))


def _long_rows(record: Record, rows: Sequence[Row], link: str | None) -> Iterator[list[Any]]:
    start = provenance.first(record, link)
    ends = {position: provenance.last(record, position) for position in range(len(record["variants"]))}
    variants = [_of_variant(record, position) for position in range(len(record["variants"]))]
    for row in rows:
        yield [*start, *_cells(variants[row.position], row), *ends[row.position]]


def cells(record: Record, position: int, row: Row) -> list[Any]:
    """Values of LONG of one row, whatever position and name it has there, for the variant at this position of its own record."""
    return _cells(_of_variant(record, position), row)


def _cells(variant: Mapping[str, Any], row: Row) -> list[Any]:
    return [variant[c.name] if c.name in _OF_VARIANT else getattr(row, c.name) for c in LONG]


Found = tuple[Record, Sequence[Row], str | None, str | None]
"""A record, its rows, its link and a point_label."""


def wide(found: Sequence[Found]) -> Table:
    """One row per variant: each metric by its name with its unit, its ratio to the baseline and its verdict.

    A metric that was measured at several points is taken at the point given, else at its first, like on the page; `long` has all of them.
    """
    measured = {row.metric for _, rows, _, _ in found for row in rows}
    names = [name for name in METRICS if name in measured]
    return Table((*provenance.FIRST, *_WIDE, *(c for name in names for c in _of_metric(name)), *provenance.LAST), _wide_rows(found, names))


def _of_metric(name: str) -> list[Column]:
    value = [Column(name, "number")]
    return [*value, Column(f"{name}_ratio", "number"), Column(f"{name}_verdict", "text")] if METRICS[name].compared else value


def _wide_rows(found: Sequence[Found], names: Sequence[str]) -> Iterator[list[Any]]:
    for record, rows, link, point in found:
        start, speed = provenance.first(record, link), decisive(record).speed
        for position in range(len(record["variants"])):
            at = _at_point([row for row in rows if row.position == position], point)
            middle = _of_variant(record, position) | {"point": at[speed].point if speed in at else None}
            values = [value for name in names for value in _metric_cells(name, at.get(name))]
            yield [*start, *(middle[column.name] for column in _WIDE), *values, *provenance.last(record, position)]


def _at_point(rows: Sequence[Row], point: str | None) -> dict[str, Row]:
    """{metric: its row at the point, at its first one where it has none there}."""
    found: dict[str, Row] = {}
    for row in rows:
        if row.metric not in found or row.point_label == point:
            found[row.metric] = row
    return found


def _metric_cells(name: str, row: Row | None) -> list[Any]:
    values = [row.value, row.ratio, row.verdict] if row is not None else [None, None, None]
    return values if METRICS[name].compared else values[:1]


def stack_text(stack: Sequence[dict[str, Any]]) -> str:
    """'bfloat16 + bnb_4bit(quant_type=fp4)', as an experiment's file may say it."""
    return default_name(tuple(TechniqueSpec.model_validate(t) for t in stack)) if stack else "the model as stored"


def _of_variant(record: Record, position: int) -> dict[str, Any]:
    variant = record["variants"][position]
    runs = [run for run in record["runs"] if run["variant"] == position]
    status = worst([run["status"] for run in runs])
    return {
        "variant_id": str(VariantRef(record["experiment"]["id"], position)), "variant": variant["name"], "baseline": variant["baseline"],
        "stack": None if imported_from(record) else stack_text(variant["stack"]),
        "status": status, "reason": next((run["reason"] for run in runs if run["status"] == status), None),
        "runs": len(runs), "runs_succeeded": sum(run["status"] == "succeeded" for run in runs),
    }  # fmt: skip
