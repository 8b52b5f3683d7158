"""Every raw sample of an experiment as a long table. What gave no sample has a row that says why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.export.table import Table, columns
from engine.metrics import METRICS
from engine.record import Record
from engine.variant_ref import VariantRef

_COLUMNS = columns(
    experiment_id="text", device="text", variant_id="text", variant="text", round="count", kind="text", run_status="text",
    started_at="time", environment="text", metric="text", unit="text", point="point", status="text", reason="text",
    sample="count", warmup="flag", value="number",
)  # fmt: skip


def samples(record: Record) -> Table:
    """One row per raw sample in the metric's SI unit, of every run whatever its status, warm-ups first; rounds and samples count from 0.

    A point without samples, and a run without points, has one row without a value, with its status and reason. environment: the
    key of the bundle's facts. The record must be loaded with all its samples.
    """
    return Table(_COLUMNS, _rows(record))


def _rows(record: Record) -> Iterator[list[Any]]:
    experiment = record["experiment"]
    for run in record["runs"]:
        device, position = run["device"] or experiment["device"], run["variant"]
        start = [
            experiment["id"], device, str(VariantRef(experiment["id"], position)), record["variants"][position]["name"], run["round"],
            run["kind"], run["status"], run["started_at"], run["environment"],
        ]  # fmt: skip
        if not run["measurements"]:
            yield [*start, None, None, None, run["status"], run["reason"], None, None, None]
        for m in run["measurements"]:
            yield from ([*start, *values] for values in _of_measurement(m))


def _of_measurement(m: dict[str, Any]) -> Iterator[list[Any]]:
    known = METRICS.get(m["metric"])  # of another version there may be others; nothing is left out
    of = [m["metric"], known.unit if known else None, m["point"], m["status"], m["reason"]]
    if not m["warmups"] and not m["samples"]:
        yield [*of, None, None, m["value"]]
    for warmup, values in ((True, m["warmups"]), (False, m["samples"])):
        yield from ([*of, index, warmup, value] for index, value in enumerate(values))
