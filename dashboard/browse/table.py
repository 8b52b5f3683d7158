"""The table of the Experiments page, its order, columns and pages. Rows are ticked by id: a table that changes keeps the same ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pandas as pd
import streamlit as st

from dashboard import tray, words
from dashboard.browse import data, state
from dashboard.browse.address import COLUMNS, LARGEST_PAGE, MOST_CHOSEN, View
from dashboard.browse.facets import value_text
from dashboard.report import markdown as report
from db.filter import Filter
from db.queries import STATUSES
from engine.best_figures import Best, BestFigures
from engine.metrics import METRICS

KEY = "browse_table"
_IDS = "browse_ids"
SIZES = (20, 50, 100, 200)
SORTED = {
    "-created": "Newest first", "created": "Oldest first", "title": "Title, A to Z", "-title": "Title, Z to A", "model": "Model, A to Z",
    "-model": "Model, Z to A", "device": "Device, A to Z", "-device": "Device, Z to A", "workload": "Workload, A to Z",
    "-workload": "Workload, Z to A", "owner": "Owner, A to Z", "-owner": "Owner, Z to A",
}  # fmt: skip
LABELS = {
    "title": "Title", "status": "Status", "model": "Model", "workload": "Workload", "techniques": "Techniques", "device": "Device",
    "fastest": "Fastest", "smallest": "Smallest", "variants": "Variants", "tags": "Tags", "owner": "Owner", "created": "Created (UTC)",
    "source": "Source", "id": "Id",
}  # fmt: skip
_FIGURE_HELP = (
    "The best variant by the median over rounds at the first point, of runs that nothing disturbed, with its quality. Whether a difference "
    "is shown is said on the experiment's page."
)


def rows(frame: pd.DataFrame, figures: Mapping[str, BestFigures]) -> pd.DataFrame:
    """What the table says of each row of db.listing.experiments, with the columns of LABELS."""
    return pd.DataFrame([_row(row, figures.get(row["id"], BestFigures())) for row in frame.to_dict("records")], columns=list(LABELS))


def columns(view: View) -> list[str]:
    """Those in sight, in their order."""
    return ["title", *(c for c in COLUMNS if c in view.columns)]


def in_sight(view: View, frame: pd.DataFrame) -> pd.DataFrame:
    """frame: one page of db.listing.experiments. What the table shows of it."""
    return rows(frame, data.best_figures(frame) if {"fastest", "smallest"} & set(view.columns) else {})[columns(view)]


def draw(view: View, frame: pd.DataFrame) -> None:
    """frame: one page of db.listing.experiments."""
    st.session_state[_IDS] = ids = list(frame["id"])
    ticked = [position for position, i in enumerate(ids) if i in view.chosen]
    if _ticked() != ticked:
        st.session_state[KEY] = {"selection": {"rows": ticked, "columns": [], "cells": []}}
    plain(in_sight(view, frame), key=KEY, on_select=_tick, selection_mode="multi-row")


def plain(table: pd.DataFrame, **options: Any) -> None:
    """Rows of `in_sight`, to read; to tick where options say so."""
    keys = " Arrows move, Shift and space tick." if "on_select" in options else ""
    st.dataframe(
        table, hide_index=True, height="auto" if len(table) < 16 else 600, column_config=_config(),
        alt=f"{len(table)} experiments with {', '.join(LABELS[str(c)].lower() for c in table.columns)}.{keys}", **options,
    )  # fmt: skip


def markdown(view: View, frame: pd.DataFrame, link: str) -> str:
    """The rows and columns that are in sight, as a table for others, and the link to them."""
    found = rows(frame, data.best_figures(frame))
    shown = found[[c for c in COLUMNS if c in view.columns]].map(lambda value: ", ".join(value) if isinstance(value, list) else value)
    if "created" in shown:
        shown["created"] = [f"{moment:%Y-%m-%d %H:%M}" for moment in shown["created"]]
    shown.insert(0, "title", list(frame["title"]))
    return f"{report.table(shown.rename(columns=LABELS))}\n\n{link}\n"


def turn(wanted: Filter, pages: int) -> None:
    """Under the table: its pages. wanted: with a page that there is."""
    if pages > 1:
        state.put("browse_page", wanted.page)
        st.pagination(pages, key="browse_page", on_change=_turn)


def order(view: View) -> None:
    """A button that opens the choice of order, columns and number of rows."""
    popover = st.popover("Order, columns", icon=":material/view_column:", key="browse_order", on_change="rerun")
    if popover.open:  # what is drawn only then does not slow the page's first paint
        with popover:
            _order(view)


def _order(view: View) -> None:
    state.put("browse_sort", "-" * view.filter.descending + view.filter.sort)
    st.selectbox("Order", list(SORTED), format_func=SORTED.__getitem__, key="browse_sort", on_change=_sort)
    state.put("browse_size", view.filter.size)
    st.selectbox("Rows of a page", sorted({*SIZES, view.filter.size or LARGEST_PAGE}), key="browse_size", on_change=_size)
    state.put("browse_columns", [c for c in COLUMNS if c in view.columns])
    st.pills("Columns", COLUMNS, selection_mode="multi", format_func=LABELS.__getitem__, key="browse_columns", on_change=_columns)


def chosen_now(before: Sequence[str], ids: Sequence[str], rows: Sequence[int]) -> tuple[str, ...]:
    """Ticked ids after a click. ids: of the rows as they stood there; those out of sight stay ticked."""
    now = [ids[position] for position in rows if position < len(ids)]
    kept = [i for i in before if i not in ids or i in now]
    return tuple(dict.fromkeys([*kept, *now]))[:MOST_CHOSEN]


def _row(row: dict[str, Any], figures: BestFigures) -> dict[str, Any]:
    counts = {s: row[s] for s in STATUSES if row[s]}
    return {
        "title": _link(row["id"], row["title"]), "status": words.experiment_status(counts), "model": row["model"], "workload": row["workload"],
        "techniques": list(row["techniques"]), "device": row["hardware"] or row["device"], "fastest": best_text(figures.fastest),
        "smallest": best_text(figures.smallest), "variants": row["variants"], "tags": list(row["tags"]), "owner": row["owner"] or "",
        "created": row["created_at"], "source": value_text("source", row["source"]), "id": row["id"],
    }  # fmt: skip


def best_text(best: Best | None) -> str:
    """'bnb_4bit: 61 tok/s, perplexity 25'; empty where nothing was measured."""
    if best is None:
        return ""
    text = f"{best.variant}: {words.value_text(best.metric, best.value)}"
    if best.quality_metric is None:
        return text
    label = METRICS[best.quality_metric].label
    return f"{text}, {label[:1].lower()}{label[1:]} {words.value_text(best.quality_metric, best.quality)}"


def _link(experiment_id: str, title: str) -> str:
    """Relative, so that it holds under any name of the server. What is after # is what the cell shows, and what a screen reader says."""
    params = urlencode({"id": experiment_id} | tray.chosen().params())
    return f"experiment?{params}#{' '.join(title.split()).replace('%', '%25')}"


def _config() -> dict[str, Any]:
    column = st.column_config
    special = {
        "title": column.LinkColumn(LABELS["title"], pinned=True, width="medium", display_text="#(.*)$"),
        "techniques": column.ListColumn(LABELS["techniques"], width="medium"), "tags": column.ListColumn(LABELS["tags"]),
        "created": column.DatetimeColumn(LABELS["created"], format="YYYY-MM-DD HH:mm"),
        **{name: column.TextColumn(LABELS[name], width="medium", help=_FIGURE_HELP) for name in ("fastest", "smallest")},
    }  # fmt: skip
    return {name: column.Column(label) for name, label in LABELS.items()} | special


def _ticked() -> list[int] | None:
    """The positions that the table shows as ticked; None before it was drawn."""
    there = st.session_state.get(KEY)
    return list(there["selection"]["rows"]) if there else None


def _tick() -> None:
    state.show(replace(state.view(), chosen=chosen_now(state.view().chosen, st.session_state.get(_IDS, []), _ticked() or [])))


def _turn() -> None:
    state.change(page=st.session_state["browse_page"])


def _sort() -> None:
    chosen: str = st.session_state["browse_sort"]
    state.change(sort=chosen.removeprefix("-"), descending=chosen.startswith("-"))


def _size() -> None:
    state.change(size=st.session_state["browse_size"])


def _columns() -> None:
    state.show(replace(state.view(), columns=tuple(c for c in COLUMNS if c in st.session_state["browse_columns"])))
