"""The number on the button of the samples is the number of rows in the file, on both databases."""

from __future__ import annotations

from sqlalchemy import Engine

from db import queries
from db.records import import_record
from engine.export.samples import samples
from engine.measurement import Status
from tests.db.conftest import enqueue
from tests.records import build_record


def test_it_is_the_number_of_rows_in_the_file(db: Engine) -> None:
    record = build_record(
        {"a": {"ttft_seconds": [1.0, 2.0], "ttft_seconds@8": [Status.OUT_OF_MEMORY, 3.0]}, "b": {}},
        quality={"a": {"perplexity": [9.0, 8.0, 7.0]}},
        runs={("b", 0): {"status": "failed", "reason": "signal 11"}, ("b", 1): {"status": "failed", "reason": "signal 11"}},
    )
    experiment = import_record(db, record, "imported")
    again = queries.record(db, experiment, samples="all")
    assert again is not None
    written = len(list(samples(again).rows))
    # 3 times 1 warm-up and 1 sample, a point that did not fit, 3 blocks, 2 speed runs and 1 quality run without a measurement
    assert queries.count_samples(db, experiment) == written == 3 * 2 + 1 + 3 + 2 + 1


def test_of_nothing_and_of_runs_that_wait(db: Engine) -> None:
    assert queries.count_samples(db, "nothing") == 0
    assert queries.count_samples(db, enqueue(db, runs=2)) == 2
