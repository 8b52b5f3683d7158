"""The files that an experiment can be had as: name, ending and media type of each, and how it is written. The one list of formats."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from engine.analysis import rows
from engine.export.formats import CSV_MEDIA, JSON_MEDIA, PARQUET_MEDIA, csv_chunks, json_chunks, parquet
from engine.export.samples import samples
from engine.export.summary import long, wide
from engine.record import Record

Write = Callable[[Record, str | None], Iterator[str | bytes]]


@dataclass(frozen=True)
class FileFormat:
    """write: (record, link) -> the file in pieces. samples: which raw samples the record must be loaded with. rows: what one row is."""

    label: str
    ending: str
    media_type: str
    samples: Literal["quality", "all"]
    rows: str
    write: Write


def bundle_text(record: Record) -> str:
    """The bundle as one JSON text, as engine/bundle.py reads it."""
    return json.dumps(record, allow_nan=False, indent=1)


FORMATS = {
    "csv": FileFormat("Results (CSV)", "csv", CSV_MEDIA, "quality", "variant x metric x point", lambda r, link: csv_chunks(long(r, rows(r), link))),
    "json": FileFormat("Results (JSON)", "json", JSON_MEDIA, "quality", "variant x metric x point", lambda r, link: json_chunks(long(r, rows(r), link))),
    "parquet": FileFormat("Results (Parquet)", "parquet", PARQUET_MEDIA, "quality", "variant x metric x point",
                          lambda r, link: iter([parquet(long(r, rows(r), link))])),
    "variants": FileFormat("Variants (CSV)", "variants.csv", CSV_MEDIA, "quality", "variant", lambda r, link: csv_chunks(wide([(r, rows(r), link)]))),
    "samples": FileFormat("Samples (CSV)", "samples.csv", CSV_MEDIA, "all", "raw sample", lambda r, link: csv_chunks(samples(r))),
    "bundle": FileFormat("Bundle (JSON)", "bundle.json", JSON_MEDIA, "all", "", lambda r, link: iter([bundle_text(r)])),
}  # fmt: skip
"""By the name that the command line and the addresses use."""


def content(name: str, record: Record, link: str | None) -> bytes:
    """The whole file at once."""
    return b"".join(piece.encode() if isinstance(piece, str) else piece for piece in FORMATS[name].write(record, link))


def file_name(stem: str, ending: str, moment: datetime | None = None) -> str:
    """'experiment_ID_20261128T0230Z.csv': two downloads of one thing are told apart, by UTC."""
    at = (moment or datetime.now(UTC)).astimezone(UTC)
    return f"{stem}_{at:%Y%m%dT%H%MZ}.{ending}"
