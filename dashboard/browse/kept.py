"""The list of experiments as a frozen snapshot keeps it: the rows and columns that were in sight, and the line above them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import words
from dashboard.browse import table
from dashboard.browse.address import View

Frames = Mapping[str, Sequence[Mapping[str, Any]]]


def frames(view: View, frame: pd.DataFrame, line: str) -> dict[str, list[dict[str, Any]]]:
    """frame: one page of db.listing.experiments. line: what the page says above it. Plain JSON data."""
    rows = table.in_sight(view, frame).to_dict("records")
    plain = [{name: f"{v:%Y-%m-%dT%H:%M:%SZ}" if isinstance(v, pd.Timestamp) else v for name, v in row.items()} for row in rows]
    return {"experiments": plain, "about": [{"line": line, "columns": list(table.columns(view))}]}


def draw(found: Frames) -> None:
    """The same again; links go to the experiments as they are now."""
    (about,) = found["about"]
    st.caption(words.escape(about["line"]))
    rows = pd.DataFrame(found["experiments"], columns=about["columns"])
    if "created" in rows:
        rows["created"] = pd.to_datetime(rows["created"]).dt.tz_localize(None)
    table.plain(rows)
