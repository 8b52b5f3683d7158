"""Every raw sample has a row, and what gave none says why."""

from __future__ import annotations

import io

import pandas as pd
import pytest

from engine.export.files import Source, content
from engine.measurement import Status
from tests.engine.export.records import read, record
from tests.records import build_record


def test_every_raw_sample_has_a_row() -> None:
    found = read(content("samples", Source(record(quality={"base": {"perplexity": [9.0, 8.0]}}))))
    # 2 variants x 2 metrics x 3 rounds x (1 warm-up + 1 sample), two blocks, and the quality run that measured nothing
    assert len(found) == 2 * 2 * 3 * 2 + 2 + 1
    assert list(found[0]) == [
        "experiment_id", "device", "variant_id", "variant", "round", "kind", "run_status", "started_at", "environment", "metric", "unit", "point",
        "status", "reason", "sample", "warmup", "value",
    ]  # fmt: skip
    assert [(r["warmup"], float(r["value"])) for r in found[:2]] == [("true", 2.0), ("false", 1.0)]
    blocks = [r for r in found if r["metric"] == "perplexity"]
    assert [(r["kind"], r["sample"], float(r["value"])) for r in blocks] == [("quality", "0", 9.0), ("quality", "1", 8.0)]
    assert {r["started_at"] for r in found} == {"2026-01-02T03:04:05Z"}


def test_a_point_that_did_not_fit_and_a_run_that_died_have_a_row() -> None:
    lost = build_record(
        {"a": {"ttft_seconds": [1.0], "ttft_seconds@8": [Status.OUT_OF_MEMORY]}, "b": {}},
        runs={("b", 0): {"status": "failed", "reason": "signal 11"}},
    )
    point, run = read(content("samples", Source(lost)))[2:]
    assert (point["variant"], point["status"], point["reason"], point["value"]) == ("a", "out_of_memory", "batch 8: out_of_memory", "")
    assert point["point"] == "batch=8, prompt_tokens=128, new_tokens=64"
    assert (run["variant"], run["metric"], run["run_status"], run["status"], run["reason"], run["value"]) == (
        "b", "", "failed", "failed", "signal 11", "",
    )  # fmt: skip


@pytest.mark.parametrize("lost", [False, True])
def test_read_csv_gives_numbers(lost: bool) -> None:
    changes = {"runs": {("small", 0): {"status": "failed", "reason": "gone", "measurements": []}}} if lost else {}
    found = pd.read_csv(io.BytesIO(content("samples", Source(record(**changes)))))
    assert (found["round"].dtype, found["value"].dtype) == ("int64", "float64")
    assert found["value"].isna().sum() == int(lost)
