"""What the Experiments page reads, through dashboard/store.py and cached by its token."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import pandas as pd
import streamlit as st
from sqlalchemy import Engine

from dashboard import store
from db import listing
from db.filter import Filter
from engine import best_figures as best
from engine import settings
from engine.best_figures import BestFigures


def all_experiments(db: Engine, wanted: Filter) -> Iterator[dict[str, Any]]:
    """Every row that matches; for downloads, which are made outside of a page and so bring the engine along."""
    return (row for frame in listing.all_experiments(db, wanted) for row in frame.to_dict("records"))


def facets(wanted: Filter) -> listing.Facets:
    """See db.listing.facets. Order and page change no count, so turning pages asks no database."""
    usual = Filter()
    counted = replace(wanted, page=1, size=usual.size, sort=usual.sort, descending=usual.descending)
    return _facets(store.scope(), counted, store.token())


@st.cache_resource(max_entries=64, show_spinner=False)  # not cache_data: nothing changes it, and copies would take their time
def _facets(scope: store.Scope, wanted: Filter, token: str) -> listing.Facets:
    return listing.facets(scope.engine(), wanted)


def counts_without(wanted: Filter) -> dict[str, int]:
    """See db.listing.counts_without."""
    return listing.counts_without(store.database(), wanted)


def count_variants(wanted: Filter) -> int:
    """See db.listing.count_variants."""
    return listing.count_variants(store.database(), wanted)


def best_figures(frame: pd.DataFrame) -> dict[str, BestFigures]:
    """Of the rows of `experiments`; a tick in the table reads nothing again."""
    return _best_figures(settings.database_url(), tuple(zip(frame["id"], frame["workload"], strict=True)), store.token())


@st.cache_resource(max_entries=64, show_spinner=False)
def _best_figures(url: str, rows: tuple[tuple[str, str], ...], token: str) -> dict[str, BestFigures]:
    workloads = dict(rows)
    return best.best_figures(listing.measured_values(store.open_database(url), list(workloads), best.metrics_for(workloads.values())), workloads)


def newest_experiment() -> datetime | None:
    return listing.newest(store.database())


def arrived_since(wanted: Filter, moment: datetime) -> int:
    return listing.arrived_since(store.database(), wanted, moment)


def tags() -> list[str]:
    """Every tag that some experiment has."""
    return listing.tags(store.database())
