"""CSV and JSON: columns, units, numbers that stay numbers, text that cannot become a formula, every raw sample."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from engine.export import samples_csv, summary_csv, summary_json
from tests.records import build_record

LINK = "http://localhost:8501/experiment?id=test-experiment-000001"


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def record(name: str = "small", **changes: Any) -> dict[str, Any]:
    return build_record({
        "base": {"ttft_seconds": [1.0, 1.1, 1.2], "kv_cache_bytes": [10.0] * 3}, name: {"ttft_seconds": [0.5, 0.55, 0.6], "kv_cache_bytes": [0.0] * 3},
    }, **changes)  # fmt: skip


def test_summary_csv_has_one_row_per_variant_metric_and_point() -> None:
    found = read(summary_csv(record(), LINK))
    assert list(found[0]) == [
        "experiment_id", "title", "device", "created_at", "link", "variant", "baseline", "metric", "label", "unit", "kind", "point",
        "status", "reason", "value", "low", "high", "n_rounds", "n_samples", "ratio", "ci_low", "ci_high", "verdict",
    ]  # fmt: skip
    assert [(r["variant"], r["baseline"], r["metric"], r["unit"]) for r in found] == [
        ("base", "true", "ttft_seconds", "s"), ("base", "true", "kv_cache_bytes", "bytes"),
        ("small", "false", "ttft_seconds", "s"), ("small", "false", "kv_cache_bytes", "bytes"),
    ]  # fmt: skip
    time, cache = found[2:]
    assert (float(time["value"]), time["n_rounds"], time["status"], time["verdict"]) == (0.55, "3", "succeeded", "better")
    assert float(time["ci_low"]) == pytest.approx(0.5) == pytest.approx(float(time["ratio"]))
    assert (cache["ratio"], cache["ci_low"], cache["reason"]) == ("0.0", "", "")
    assert time["point"] == "batch=1, prompt_tokens=128, new_tokens=64"
    assert (time["experiment_id"], time["device"], time["link"]) == ("test-experiment-000001", "cpu:test-machine", LINK)


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_text_cannot_become_a_formula(name: str) -> None:
    imported = record()  # the form refuses some of these names; a bundle may hold any
    imported["variants"][1]["name"] = name
    for text in (summary_csv(imported), samples_csv(imported)):
        variants = {r["variant"] for r in csv.DictReader(io.StringIO(text, newline=""))}
        assert variants == {"base", "'" + name.replace("\r", "\n")}


def test_titles_and_reasons_are_text_too() -> None:
    gone = {("small", r): {"status": "failed", "reason": '=HYPERLINK("http://x","y"), "quoted"\nsecond line'} for r in range(3)}
    row = read(summary_csv(record(title="-2+3", runs=gone)))[2]
    assert row["title"] == "'-2+3"
    assert row["reason"] == '\'=HYPERLINK("http://x","y"), "quoted"\nsecond line'
    assert (row["status"], row["value"], row["verdict"]) == ("failed", "", "failed")


def test_numbers_stay_numbers_even_below_zero() -> None:
    changed = record()
    changed["runs"][0]["measurements"][0]["samples"] = [-1.5]
    values = [r["value"] for r in read(samples_csv(changed))]
    assert "-1.5" in values
    assert all(float(v) is not None for v in values)


def test_summary_json_has_the_same_rows() -> None:
    made = json.loads(summary_json(record(), LINK))
    flat = read(summary_csv(record(), LINK))
    assert [list(row) for row in made] == [list(row) for row in flat]
    assert made[2]["point"] == {"batch": 1, "prompt_tokens": 128, "new_tokens": 64}
    assert (made[2]["value"], made[2]["baseline"], made[3]["ci_low"], made[2]["link"]) == (0.55, False, None, LINK)
    assert json.loads(summary_json(record()))[0]["link"] is None


def test_every_raw_sample_has_a_row() -> None:
    found = read(samples_csv(record(quality={"base": {"perplexity": [9.0, 8.0]}})))
    # 2 variants x 2 metrics x 3 rounds x (1 warm-up + 1 sample), and two blocks
    assert len(found) == 2 * 2 * 3 * 2 + 2
    assert list(found[0]) == [
        "experiment_id", "device", "variant", "round", "kind", "run_status", "metric", "unit", "point", "sample", "warmup", "value",
    ]  # fmt: skip
    assert [(r["warmup"], float(r["value"])) for r in found[:2]] == [("true", 2.0), ("false", 1.0)]
    blocks = [r for r in found if r["metric"] == "perplexity"]
    assert [(r["kind"], r["sample"], float(r["value"])) for r in blocks] == [("quality", "0", 9.0), ("quality", "1", 8.0)]
