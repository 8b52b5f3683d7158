"""A comparison of variants of several experiments as a table; one row per variant, metric and point, as the page that compares has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from engine.answers.comparison import Comparison
from engine.export import provenance, summary
from engine.export.table import Table, columns
from engine.record import Record

_COMPARED = columns(compared_as="text", compared_with="text", group="count")


def compared(found: Comparison, records: Mapping[str, Record], link_of: Callable[[str], str]) -> Table:
    """The columns of engine/export/summary.long, with values, changes and verdicts of this comparison, and three before the last ones.

    baseline: whether it is what the variant's own experiment calls so. compared_as: the variant's name here, which no other has.
    compared_with: the variant_id of what ratio and verdict are against, that of the row itself where it is this. group: which ones are
    compared with the same one. link_of: address of an experiment's page by its id.
    """
    return Table((*provenance.FIRST, *summary.LONG, *_COMPARED, *provenance.LAST), _rows(found, records, link_of))


def _rows(found: Comparison, records: Mapping[str, Record], link_of: Callable[[str], str]) -> Iterator[Sequence[Any]]:
    bases = {column.group: str(column.ref) for column in found.columns if column.baseline}
    for position, column in enumerate(found.columns):
        record = records[column.ref.experiment]
        start = provenance.first(record, link_of(column.ref.experiment))
        end = [column.name, bases[column.group], column.group, *provenance.last(record, column.ref.position)]
        for row in (row for row in found.rows if row.position == position):
            yield [*start, *summary.cells(record, column.ref.position, row), *end]
