"""The files that an experiment can be had as: name, ending and media type of each, and how it is written. The one list of formats."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from engine.analysis import Row, rows
from engine.export.formats import CSV_MEDIA, JSON_MEDIA, PARQUET_MEDIA, csv_chunks, json_chunks, parquet
from engine.export.samples import samples
from engine.export.summary import long, wide
from engine.export.table import Table, joined
from engine.record import Record


@dataclass(frozen=True)
class Source:
    """An experiment that is to be exported. link: of its page. point: a point_label, of the tables that hold one point of each metric.

    results: what engine.analysis.rows gives; computed where they are asked for, unless they are given, as those of a snapshot are.
    """

    record: Record
    link: str | None = None
    point: str | None = None
    given: Sequence[Row] | None = None

    @property
    def results(self) -> Sequence[Row]:
        return rows(self.record) if self.given is None else self.given


Pieces = Iterator[str | bytes]


@dataclass(frozen=True)
class FileFormat:
    """write: the file of one or several experiments in pieces; raises ValueError before the first.

    samples: which raw ones the records must be loaded with. row: what one row is.
    """

    label: str
    ending: str
    media_type: str
    samples: Literal["quality", "all"]
    row: Literal["result", "variant", "sample", "file"]
    write: Callable[[Sequence[Source]], Pieces]


def _long(sources: Sequence[Source]) -> Table:
    return joined([long(s.record, s.results, s.link) for s in sources])


def _wide(sources: Sequence[Source]) -> Table:
    return wide([(s.record, s.results, s.link, s.point) for s in sources])


def _samples(sources: Sequence[Source]) -> Table:
    return joined([samples(s.record) for s in sources])


def _bundle(sources: Sequence[Source]) -> Pieces:
    if len(sources) != 1:
        raise ValueError("bundle: it holds one experiment; take the ZIP for several")
    return iter([json.dumps(sources[0].record, allow_nan=False, indent=1)])


FORMATS = {
    "csv": FileFormat("Results (CSV)", "csv", CSV_MEDIA, "quality", "result", lambda s: csv_chunks(_long(s))),
    "json": FileFormat("Results (JSON)", "json", JSON_MEDIA, "quality", "result", lambda s: json_chunks(_long(s))),
    "parquet": FileFormat("Results (Parquet)", "parquet", PARQUET_MEDIA, "quality", "result", lambda s: iter([parquet(_long(s))])),
    "variants": FileFormat("Variants (CSV)", "variants.csv", CSV_MEDIA, "quality", "variant", lambda s: csv_chunks(_wide(s))),
    "samples": FileFormat("Samples (CSV)", "samples.csv", CSV_MEDIA, "all", "sample", lambda s: csv_chunks(_samples(s))),
    "bundle": FileFormat("Bundle (JSON)", "bundle.json", JSON_MEDIA, "all", "file", _bundle),
}
"""By the name that the command line and the addresses use."""


def content(name: str, *sources: Source) -> bytes:
    """The whole file at once."""
    return whole(FORMATS[name].write(sources))


def whole(pieces: Pieces) -> bytes:
    return b"".join(piece.encode() if isinstance(piece, str) else piece for piece in pieces)


def file_name(stem: str, ending: str, moment: datetime | None = None) -> str:
    """'experiment_ID_20261128T0230Z.csv': two downloads of one thing are told apart, by UTC."""
    at = (moment or datetime.now(UTC)).astimezone(UTC)
    return f"{stem}_{at:%Y%m%dT%H%MZ}.{ending}"
