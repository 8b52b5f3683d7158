"""Small pieces that several pages draw: charts with their words, and tables."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dashboard import words
from dashboard.charts.style import CONFIG
from dashboard.pictures import Picture
from engine.export.files import file_name, whole
from engine.export.formats import CSV_MEDIA, csv_chunks
from engine.export.frames import of_frame


def dark() -> bool:
    """Whether this visitor looks at the dark theme."""
    return st.context.theme.type == "dark"


def loading() -> AbstractContextManager[Any]:
    """A grey shape in the place of the table or chart that is being read; one that comes at once shows none."""
    return st.skeleton(height=480)


def chart(
    figure: go.Figure, description: str, key: str, twin: Callable[[], pd.DataFrame], *, open_twin: bool = False, drawn: pd.DataFrame | None = None
) -> None:  # fmt: skip
    """A chart with what it says in words, as its text alternative and, for all to read, below it; and the same numbers as a table.

    twin: makes the table, called only where it is shown. open_twin: in sight, where the table says more than the chart does. drawn: the
    numbers that the chart is made from, to be had as a file.
    """
    st.plotly_chart(figure, theme=None, config=CONFIG, alt=description, key=key, selection_mode="points")
    st.caption(words.escape(description))
    if open_twin:
        table(twin(), f"The chart above as a table. {description}", f"{key}_table")
        return
    drawer = st.expander("Show as table", key=f"{key}_as_table", on_change="rerun", icon=":material/table:")
    if drawer.open:
        with drawer:
            table(twin(), f"The chart above as a table. {description}", f"{key}_table")
    if drawn is not None:
        _download(drawn, key)


def _download(drawn: pd.DataFrame, key: str) -> None:
    def content() -> bytes:
        return whole(csv_chunks(of_frame(drawn)))

    st.download_button(
        f"What is drawn (CSV) · {len(drawn):,} rows", content, file_name=file_name(key, "csv"), mime=CSV_MEDIA, key=f"{key}_csv",
        icon=":material/download:", type="tertiary", on_click="ignore",
    )  # fmt: skip


def picture(picture: Picture, key: str, *, open_twin: bool = False) -> None:
    """A chart of dashboard/pictures.py."""
    chart(picture.figure, picture.words, key, picture.twin, open_twin=open_twin, drawn=picture.drawn)


def table(frame: pd.DataFrame, description: str, key: str, **options: Any) -> None:
    """A table as it is: no index, an alternative text, the first column stays in view."""
    config = {frame.columns[0]: st.column_config.Column(pinned=True), **options.pop("column_config", {})}
    st.dataframe(frame, hide_index=True, alt=description, key=key, column_config=config, **options)
