"""The files that pages and addresses offer of one experiment: those of engine/export, and the report. Made when they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import streamlit as st
from sqlalchemy import Engine

from dashboard import frozen, store
from dashboard.report.formats import FORMATS
from db import queries
from engine import settings
from engine.export.files import FileFormat, Source, file_name, whole
from engine.snapshot import Snapshot

_ROWS = {"result": "rows", "variant": "variants", "sample": "samples"}


def source(db: Engine, experiment_id: str, samples: Any, held: Snapshot | None = None) -> Source | None:
    """An experiment as the database has it, or as a snapshot holds it; None where there is none."""
    link = settings.experiment_link(experiment_id)
    if held is not None:
        record = held.records.get(experiment_id)
        return None if record is None else Source(record, link, given=held.rows[experiment_id])
    record = queries.record(db, experiment_id, samples=samples)
    return None if record is None else Source(record, link)


def button(name: str, experiment_id: str, *, key: str, count: int | None = None, point: str | None = None, label: str | None = None) -> None:
    """Download of one file. count: of its rows, said on the button."""
    chosen = FORMATS[name]
    text = label or chosen.label
    if count is not None and chosen.row in _ROWS:
        text += f" · {count:,} {_ROWS[chosen.row] if count != 1 else _ROWS[chosen.row][:-1]}"
    st.download_button(
        text, _maker(chosen, experiment_id, point), file_name=file_name(f"experiment_{experiment_id}", chosen.ending),
        mime=chosen.media_type, key=key, icon=":material/download:", on_click="ignore",
    )  # fmt: skip


def _maker(chosen: FileFormat, experiment_id: str, point: str | None) -> Callable[[], bytes]:
    """Called on click only, in another thread: what the page shows is taken along."""
    db, held = store.database(), frozen.snapshot()

    def content() -> bytes:
        found = source(db, experiment_id, chosen.samples, held)
        return b"" if found is None else whole(chosen.write(replace(found, point=point)))

    return content


def counts(experiment_id: str, results: int, variants: int) -> dict[str, int]:
    """{what a row is: how many rows a file of an experiment that is shown has}."""
    return {"result": results, "variant": variants, "sample": store.sample_rows(experiment_id)}
