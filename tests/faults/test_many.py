"""Ten thousand runs in the database: what a list reads stays small, so that it stays fast."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, select

from dashboard import store
from db import listing, queries
from db.filter import Filter
from db.session import connect, migrate
from db.tables import Run
from engine.settings import data_dir, database_url
from tests import seeding
from tests.dashboard.conftest import fresh_caches, open_page

__all__ = ["fresh_caches", "open_page"]
LIST_SECONDS, PAGE_SECONDS = 0.05, 1.0


def median_seconds(work: Callable[[], Any], times: int = 15) -> float:
    found = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return statistics.median(found)


@pytest.mark.case("T41")
@pytest.mark.faults
def test_a_list_of_ten_thousand_runs_is_quick(open_page: Callable[..., Any]) -> None:
    data_dir().mkdir(parents=True)
    db = connect(database_url())
    migrate(db)
    seeding.seed(db, experiments=500, variants=5, rounds=3)
    with db.begin() as connection:
        assert connection.execute(select(func.count()).select_from(Run)).scalar_one() == 10_000
    assert median_seconds(lambda: listing.experiments(db, Filter())) < LIST_SECONDS
    assert median_seconds(lambda: queries.record(db, "seeded-00250", samples="none")) < LIST_SECONDS
    page = open_page("experiments")
    assert median_seconds(page.run, 5) < PAGE_SECONDS
    store.open_database(database_url()).dispose()
    db.dispose()
