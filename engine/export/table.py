"""A table that is to be exported: named columns of a known kind, and its rows. Knows neither a format nor what the rows mean."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

Kind = Literal["text", "number", "count", "flag", "time", "point"]
"""count: a whole number. time: ISO-8601 in UTC with a Z. point: a measurement's {name: number or text}."""


@dataclass(frozen=True)
class Column:
    """A number is in the unit that its name, or the metric's name beside it, ends in. Every column may hold None."""

    name: str
    kind: Kind


@dataclass(frozen=True)
class Table:
    """rows: may be made while they are read, so read them once. Each has one value per column."""

    columns: tuple[Column, ...]
    rows: Iterable[Sequence[Any]]

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]


def columns(**kinds: Kind) -> tuple[Column, ...]:
    """columns(title="text", value="number")."""
    return tuple(Column(name, kind) for name, kind in kinds.items())


def joined(tables: Sequence[Table]) -> Table:
    """One table after the other; all have the same columns."""
    assert len({table.columns for table in tables}) == 1
    return Table(tables[0].columns, chain.from_iterable(table.rows for table in tables))
