"""A data frame as a table that can be exported: what a chart draws, with every digit."""

from __future__ import annotations

from typing import Any

import pandas as pd

from engine.export.table import Column, Kind, Table


def of_frame(frame: pd.DataFrame) -> Table:
    """Columns and rows as they are; a missing number is None. A column of objects that holds points is one of points, else text."""
    kinds = {str(name): _kind(frame[name]) for name in frame.columns}
    return Table(tuple(Column(name, kind) for name, kind in kinds.items()), ([_cell(v) for v in row] for row in frame.itertuples(index=False, name=None)))


def _kind(values: pd.Series) -> Kind:
    if pd.api.types.is_bool_dtype(values):
        return "flag"
    if pd.api.types.is_integer_dtype(values):
        return "count"
    if pd.api.types.is_float_dtype(values):
        return "number"
    return "point" if any(isinstance(v, dict) for v in values) else "text"


def _cell(value: Any) -> Any:
    return None if value is None or value != value else value
