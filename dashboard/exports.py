"""Download buttons for the files of experiments. A file is made when its button is clicked, from the database or the snapshot that is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import streamlit as st
from sqlalchemy import Engine

from dashboard import frozen, store
from dashboard.report.formats import FORMATS
from db import queries
from engine import settings
from engine.export.files import FileFormat, Source, file_name, whole
from engine.snapshot import Snapshot

_ROWS = {"result": "rows", "variant": "variants", "sample": "samples"}


def source(db: Engine, experiment_id: str, chosen: FileFormat, point: str | None, held: Snapshot | None) -> Source | None:
    """An experiment as the database has it, or as a snapshot holds it; None where there is none."""
    link = settings.experiment_link(experiment_id)
    if held is not None:
        return Source(held.records[experiment_id], link, point, held.rows[experiment_id])
    record = queries.record(db, experiment_id, samples=chosen.samples)
    return None if record is None else Source(record, link, point)


def counts(experiment_ids: Sequence[str]) -> dict[str, int]:
    """{what a row is: how many the files of these experiments have}."""
    records = [record for i in experiment_ids if (record := store.record(i)) is not None]
    return {
        "result": sum(len(store.summary(r["experiment"]["id"])) for r in records), "variant": sum(len(r["variants"]) for r in records),
        "sample": sum(store.sample_rows(r["experiment"]["id"]) for r in records),
    }  # fmt: skip


def buttons(names: Mapping[str, FileFormat], experiment_ids: Sequence[str], stem: str, key: str, point: str | None = None) -> None:
    """One per file, with the number of its rows."""
    found = counts(experiment_ids)
    for name, chosen in names.items():
        button(chosen, experiment_ids, stem, f"{key}_{name}", point, found.get(chosen.row))


def button(chosen: FileFormat, experiment_ids: Sequence[str], stem: str, key: str, point: str | None = None, count: int | None = None) -> None:
    """count: of its rows, said on the button."""
    rows = "" if count is None else f" · {count:,} {_ROWS[chosen.row] if count != 1 else _ROWS[chosen.row][:-1]}"
    st.download_button(
        chosen.label + rows, maker(chosen, experiment_ids, point), file_name=file_name(stem, chosen.ending), mime=chosen.media_type, key=key,
        icon=":material/download:", on_click="ignore",
    )  # fmt: skip


def of_one(experiment_id: str, point: str | None, key: str = "download") -> None:
    """Every file of an experiment that is shown."""
    buttons(FORMATS, [experiment_id], f"experiment_{experiment_id}", key, point)


def maker(chosen: FileFormat, experiment_ids: Sequence[str], point: str | None) -> Callable[[], bytes]:
    """Called on click only, in another thread: what the page shows is taken along."""
    db, held = store.database(), frozen.snapshot()

    def content() -> bytes:
        found = [s for i in experiment_ids if (s := source(db, i, chosen, point, held)) is not None]
        return whole(chosen.write(found)) if found else b""

    return content
