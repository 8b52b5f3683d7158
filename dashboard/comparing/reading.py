"""What the page that compares reads: a comparison, its samples, and what could be suggested. Cached until one of its experiments changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import streamlit as st

from dashboard import frozen, links, store
from dashboard.comparing.shown import split_of
from db import queries
from db.filter import Filter
from engine import settings
from engine.analysis import Row
from engine.answers.comparison import Column, Comparison, Split, joined, side_by_side, unreadable
from engine.answers.suggestions import Listed
from engine.record import WORKLOAD_OF_IMPORTED, Record
from engine.snapshot import Snapshot
from engine.variant_ref import VariantRef

FRAME = "comparison"
"""Of a snapshot: the rows of the comparison that was frozen."""


def comparison(refs: Sequence[VariantRef], base: VariantRef | None, split: Split) -> tuple[Comparison | None, dict[str, Record], list[str]]:
    """(the variants side by side, the records of their experiments, which of those cannot be read and why). None where none is there."""
    tokens = store.tokens(ref.experiment for ref in (*refs, *([base] if base else [])))
    found: tuple[Comparison | None, dict[str, Record], list[str]] = _comparison(
        settings.database_url(), tuple(refs), base, split, tokens
    )
    return found


@st.cache_resource(max_entries=8, show_spinner=False)  # not cache_data: nothing changes it, and copies would take their time
def _comparison(url: str, refs: tuple[VariantRef, ...], base: VariantRef | None, split: Split, tokens: dict[str, str]) -> Any:
    found = {key: store.load(url, key, "quality", token) for key, token in tokens.items()}
    records = {key: record for key, record in found.items() if record is not None}
    problems = {key: why for key, record in records.items() if (why := unreadable(record)) is not None}
    readable = {key: record for key, record in records.items() if key not in problems}
    said = [f"{records[key]['experiment']['title']}: {why}" for key, why in problems.items()]
    return side_by_side(readable, refs, base, split), readable, said


def listed_for_suggestions() -> list[Listed]:
    """The newest experiments with results, without their measurements."""
    recent = store.experiments(Filter(size=50))
    recent = recent[(recent["succeeded"] > 0) & (recent["workload"] != WORKLOAD_OF_IMPORTED)]
    names: dict[str, list[tuple[str, bool]]] = {}
    for variant in queries.variants(store.database(), recent["id"]):
        names.setdefault(variant["experiment"], []).append((variant["name"], variant["baseline"]))
    listed = recent.itertuples()
    return [Listed(e.id, e.title, e.model, e.workload, e.hardware or e.device, tuple(names.get(e.id, ()))) for e in listed]


def frozen_comparison(held: Snapshot) -> tuple[Comparison | None, dict[str, Record]]:
    """As it was frozen: the rows of then, whatever this version would make of the same measurements."""
    refs, records = links.variants(held.params).refs, dict(held.records)
    found = side_by_side(records, refs, links.variant(held.params), split_of(held.params))
    rows = [Row(**row) for row in held.frames.get(FRAME, ())]
    return (replace(found, rows=tuple(rows)) if found is not None and rows else found), records


def to_freeze(found: Comparison) -> dict[str, list[dict[str, Any]]]:
    """What a snapshot must hold beside the records."""
    return {FRAME: [asdict(row) for row in found.rows]}


def samples_of(found: Comparison) -> Record:
    """A comparison's record with all raw samples."""
    if (held := frozen.snapshot()) is not None:
        return joined(held.records, found.columns)
    return _samples_of(settings.database_url(), found.columns, store.tokens(column.ref.experiment for column in found.columns))


@st.cache_resource(max_entries=2, show_spinner=False)
def _samples_of(url: str, columns: tuple[Column, ...], tokens: dict[str, str]) -> Record:
    found = {key: store.load(url, key, "all", token) for key, token in tokens.items()}
    return joined({key: record for key, record in found.items() if record is not None}, columns)
