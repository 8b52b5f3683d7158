"""What the table of all variants is made from, on both databases: raw rows with the types that the driver has."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine

from db import many_variants
from db.records import import_record
from tests.records import build_record

METRICS = ("ttft_seconds", "weight_bytes")


@pytest.fixture
def ids(db: Engine) -> list[str]:
    record = build_record(
        {"a": {"ttft_seconds": [1.0, 2.0], "weight_bytes": [5.0, 5.0]}, "b": {}},
        runs={("a", 1): {"details": {"contended": "others", "code": "c" * 40}}, ("b", 0): {"status": "failed", "reason": "signal 11"}},
    )
    return [import_record(db, record, "imported")]


def test_variants_and_their_experiment(db: Engine, ids: list[str]) -> None:
    found = many_variants.variants(db, ids)
    assert [(row[1], row[2], row[3], bool(row[4]), row[5]) for row in found] == [(ids[0], 0, "a", True, "[]"), (ids[0], 1, "b", False, "[]")]
    experiment = many_variants.experiments(db, ids)[ids[0]]
    assert experiment["model"]["name"] == "smollm2-135m" and experiment["workload"] == {"name": "generation", "options": {}}
    assert (experiment["rounds"], experiment["seed"], experiment["imported"], experiment["created_at"]) == (2, 0, None, "2026-01-02T03:04:05Z")


def test_outcomes_by_status(db: Engine, ids: list[str]) -> None:
    a, b = (row[0] for row in many_variants.variants(db, ids))
    (key,) = many_variants.environments(db, [row[4] for row in many_variants.outcomes(db, ids)])
    assert sorted(many_variants.outcomes(db, ids)) == [
        (a, "succeeded", 2, None, key, key, "c" * 40, "c" * 40, 1),
        (b, "failed", 1, "signal 11", key, key, None, None, 0), (b, "succeeded", 1, None, key, key, None, None, 0),
    ]  # fmt: skip


def test_values_come_as_numbers(db: Engine, ids: list[str]) -> None:
    a, _ = (row[0] for row in many_variants.variants(db, ids))
    found = many_variants.values(db, ids, METRICS)
    first, second = METRICS
    assert sorted((variant, metric, value) for variant, _, _, metric, value in found) == [(a, first, 1.0), (a, first, 2.0), (a, second, 5.0), (a, second, 5.0)]
    assert [type(value) for row in found for value in row] == [int, int, int, str, float] * 4
    with_points: Any = many_variants.values_with_points(db, [a], METRICS)
    assert '"prompt_tokens": 128' in with_points[0][4]
    assert [(row[2], row[3]) for row in with_points] == [(first, 1.0), (second, 5.0), (first, 2.0), (second, 5.0)]
    assert [d[3].get("contended") for d in many_variants.disturbances(db, [a])] == [None, "others"]
