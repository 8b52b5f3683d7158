"""The formats of a table: CSV, JSON and Parquet. Numbers keep every digit and stay numbers, text is no formula, nothing is left out.

CSV and JSON come in chunks, so that a long table is never in memory as a whole.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from engine.cells import point_label
from engine.export.table import Column, Table

CSV_MEDIA, JSON_MEDIA, PARQUET_MEDIA = "text/csv; charset=utf-8", "application/json", "application/vnd.apache.parquet"
# A cell that begins so is a formula to some spreadsheet program.
_DANGEROUS = ("=", "+", "-", "@", "\t", "\n")
_ROWS_PER_CHUNK = 500


def csv_chunks(table: Table) -> Iterator[str]:
    """A header and one line per row: UTF-8, comma, LF, no preamble. A missing value is an empty cell, true and false are words."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table.names)
    rows = iter(table.rows)
    while chunk := list(islice(rows, _ROWS_PER_CHUNK)):
        writer.writerows(zip(*map(_cells, table.columns, zip(*chunk, strict=True)), strict=True))
        yield _taken(out)
    if rest := _taken(out):  # a table without rows has its header
        yield rest


def json_chunks(table: Table) -> Iterator[str]:
    """An array with one object per row, one row per line; null for what is missing, a point as an object."""
    names, before = table.names, "["
    for row in table.rows:
        yield f"{before}\n{json.dumps(dict(zip(names, row, strict=True)), allow_nan=False)}"
        before = ","
    yield "\n]\n" if before == "," else "[]\n"


def parquet(table: Table) -> bytes:
    """The same columns with their types: times as UTC timestamps, counts as 64-bit integers. Text is as it is: nothing here is a formula."""
    import pyarrow as pa  # not at the top: it is slow to import, and few files are Parquet
    import pyarrow.parquet

    types = {
        "text": pa.string(), "point": pa.string(), "number": pa.float64(), "count": pa.int64(), "flag": pa.bool_(),
        "time": pa.timestamp("us", tz="UTC"),
    }  # fmt: skip
    rows = list(table.rows)
    arrays = [pa.array([_typed(column, row[i]) for row in rows], type=types[column.kind]) for i, column in enumerate(table.columns)]
    sink = pa.BufferOutputStream()
    pyarrow.parquet.write_table(pa.Table.from_arrays(arrays, names=table.names), sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())


def _typed(column: Column, value: Any) -> Any:
    if value is None:
        return None
    if column.kind == "point":
        return point_label(value)
    return datetime.fromisoformat(value) if column.kind == "time" else value


def _taken(out: io.StringIO) -> str:
    """What was written so far; the buffer is empty again."""
    text = out.getvalue()
    out.seek(0)
    out.truncate()
    return text


def _cells(column: Column, values: Sequence[Any]) -> Sequence[Any]:
    """A column of some rows, ready to be written. Numbers are left alone; a missing one is an empty cell."""
    if column.kind in ("number", "count"):
        return values
    if column.kind == "point":
        return [None if value is None else _cell(point_label(value)) for value in values]
    ready = {value: _cell(value) for value in set(values)}  # most text comes again in the next row
    return [ready[value] for value in values]


def _cell(value: Any) -> Any:
    """Text that begins like a formula gets an apostrophe in front."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return value
    # A lone carriage return would not be quoted, and a spreadsheet would begin a new row, and a formula, after it.
    text = value.replace("\r\n", "\n").replace("\r", "\n") if "\r" in value else value
    return "'" + text if text.startswith(_DANGEROUS) else text

