"""Small pieces that several pages draw: charts with their words, tables, badges of the scheduler's state."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dashboard import store, words
from dashboard.charts.style import CONFIG


def dark() -> bool:
    """Whether this visitor looks at the dark theme."""
    return st.context.theme.type == "dark"


def chart(figure: go.Figure, description: str, key: str) -> None:
    """A chart with what it says in words: as its text alternative and, for all to read, below it."""
    st.plotly_chart(figure, theme=None, config=CONFIG, alt=description, key=key, selection_mode="points")
    st.caption(words.escape(description))


def table(frame: pd.DataFrame, description: str, key: str, **options: Any) -> None:
    """A table as it is: no index, an alternative text, the first column stays in view."""
    config = {frame.columns[0]: st.column_config.Column(pinned=True), **options.pop("column_config", {})}
    st.dataframe(frame, hide_index=True, alt=description, key=key, column_config=config, **options)


def scheduler_state() -> None:
    """Says so where nothing will run; silent where all is well."""
    if not store.schedulers():
        st.warning(words.START_SCHEDULER, icon=":material/schedule:")
