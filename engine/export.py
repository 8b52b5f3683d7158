"""CSV and JSON of an experiment for spreadsheets and other programs. Numbers stay numbers; text is no formula."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, fields
from typing import Any

from engine.analysis import Row, rows
from engine.cells import point_label
from engine.metrics import metric
from engine.record import Record

_PROVENANCE = ("experiment_id", "title", "device", "created_at", "link")
# In the CSV a point is its label; in the JSON it is an object.
_SUMMARY = tuple(f.name for f in fields(Row) if f.name not in ("experiment_id", "position", "point_label"))
_SAMPLES = (
    "experiment_id", "device", "variant", "round", "kind", "run_status", "metric", "unit", "point",
    "sample", "warmup", "value",
)  # fmt: skip
_ROWS_AT_ONCE = 500
# A cell that begins so is a formula to some spreadsheet program.
_DANGEROUS = ("=", "+", "-", "@", "\t", "\n")


def summary_csv(record: Record, link: str | None = None) -> str:
    """One row per variant x metric x point with unit, n, intervals and status; an empty cell for what is missing.

    Columns: experiment_id, title, device, created_at, link, variant, baseline, metric, label, unit, kind, point,
    status, reason, value, low, high, n_rounds, n_samples, ratio, ci_low, ci_high, verdict.
    """
    return _csv((*_PROVENANCE, *_SUMMARY), ([*_provenance(record, link), *_cells(row)] for row in rows(record)))


def summary_json(record: Record, link: str | None = None) -> str:
    """The same rows and names as the CSV, as a JSON array of objects; null for what is missing, `point` an object."""
    provenance = dict(zip(_PROVENANCE, _provenance(record, link), strict=True))
    data = [provenance | {k: v for k, v in asdict(row).items() if k in _SUMMARY} for row in rows(record)]
    return json.dumps(data, allow_nan=False, indent=1) + "\n"


def samples_csv(record: Record) -> str:
    """One row per raw sample, warm-ups first, in the metric's SI unit; of every run, whatever its status.

    Columns: experiment_id, device, variant, round, kind, run_status, metric, unit, point, sample, warmup, value. Rounds
    and samples count from 0. The record must be loaded with its samples.
    """
    return _csv(_SAMPLES, _sample_rows(record))


def _provenance(record: Record, link: str | None) -> list[Any]:
    experiment = record["experiment"]
    device = experiment["bound_device"] or experiment["device"]
    return [experiment["id"], experiment["title"], device, experiment["created_at"], link]


def _cells(row: Row) -> Iterator[Any]:
    for name in _SUMMARY:
        yield row.point_label if name == "point" else getattr(row, name)


def _sample_rows(record: Record) -> Iterator[list[Any]]:
    experiment = record["experiment"]
    for run in record["runs"]:
        device, variant = run["device"] or experiment["device"], record["variants"][run["variant"]]["name"]
        start = [experiment["id"], device, variant, run["round"], run["kind"], run["status"]]
        for m in run["measurements"]:
            of = [m["metric"], metric(m["metric"]).unit, point_label(m["point"])]
            for warmup, values in ((True, m["warmups"]), (False, m["samples"])):
                yield from ([*start, *of, index, warmup, value] for index, value in enumerate(values))


def csv_chunks(header: Sequence[str], body: Iterable[Iterable[Any]]) -> Iterator[str]:
    """A CSV file in pieces of some hundred rows, so that a long one is never whole in memory."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    for number, row in enumerate(body, start=1):
        writer.writerow([_cell(value) for value in row])
        if number % _ROWS_AT_ONCE == 0:
            yield out.getvalue()
            out.seek(0)
            out.truncate()
    yield out.getvalue()


def _csv(header: Sequence[str], body: Iterable[Iterable[Any]]) -> str:
    return "".join(csv_chunks(header, body))


def _cell(value: Any) -> Any:
    """Text that begins like a formula gets an apostrophe in front. Numbers are left alone; a missing one is an empty cell."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return value
    # A lone carriage return would not be quoted, and a spreadsheet would begin a new row, and a formula, after it.
    text = value.replace("\r\n", "\n").replace("\r", "\n")
    return "'" + text if text.startswith(_DANGEROUS) else text
