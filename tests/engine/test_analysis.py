"""The summary's shape, what stays visible when runs fail or wait, the JSON contract, exit codes and progress."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.analysis import Progress, exit_code, progress, rows, summary
from engine.answers.document import document
from engine.measurement import Status
from tests.records import TEXT, build_record

COLUMNS = [
    "experiment_id", "variant", "position", "baseline", "metric", "label", "unit", "kind", "point", "point_label", "status", "reason",
    "value", "low", "high", "n_rounds", "n_samples", "ratio", "ci_low", "ci_high", "verdict",
]  # fmt: skip
BLOCKS = [20.0, 25.0, 30.0, 18.0, 22.0, 27.0, 33.0, 21.0]


def small() -> dict[str, Any]:
    return build_record(
        {
            "base": {"ttft_seconds": [1.0, 1.1, 1.2], "weight_bytes": [400.0] * 3},
            "small": {"ttft_seconds": [0.5, 0.55, 0.6], "weight_bytes": [100.0] * 3},
        },
        quality={"base": {"perplexity": BLOCKS}, "small": {"perplexity": BLOCKS, "kl_divergence": [0.0] * 8}},
    )


def test_the_frame_has_one_row_per_variant_metric_and_point() -> None:
    frame = summary(small())
    assert list(frame.columns) == COLUMNS
    assert list(zip(frame["variant"], frame["metric"], frame["verdict"], strict=True)) == [
        ("base", "ttft_seconds", "baseline"), ("base", "weight_bytes", "baseline"), ("base", "perplexity", "baseline"),
        ("small", "ttft_seconds", "better"), ("small", "weight_bytes", "better"), ("small", "perplexity", "equivalent"),
        ("small", "kl_divergence", "fidelity"),
    ]  # fmt: skip
    first = frame.iloc[0]
    assert (first["value"], first["unit"], first["kind"], first["n_rounds"]) == (1.1, "s", "speed", 3)
    assert first["low"] < 1.1 < first["high"]
    assert first["point_label"] == "batch=1, prompt_tokens=128, new_tokens=64" and first["point"]["batch"] == 1
    assert frame["baseline"].dtype == bool and frame["value"].dtype == float
    assert frame["reason"].tolist() == [None] * 7, "None, not NaN: pages print it"


def test_a_record_without_runs_gives_an_empty_frame_with_all_columns() -> None:
    record = small() | {"runs": []}
    assert list(summary(record).columns) == COLUMNS and summary(record).empty
    assert [v["status"] for v in document(record, None)["variants"]] == ["not measured"] * 2


def test_where_nothing_at_all_was_measured_every_variant_still_has_a_row() -> None:
    gone = {"status": "out_of_memory", "reason": "killed by the kernel"}
    record = build_record({"base": {}, "small": {}}, runs={("base", 0): gone, ("small", 0): gone})
    assert [(r.variant, r.status, r.verdict, r.reason) for r in rows(record)] == [
        ("base", "out_of_memory", "did not fit", "killed by the kernel"),
        ("small", "out_of_memory", "did not fit", "killed by the kernel"),
    ]


def test_a_point_that_did_not_fit_keeps_its_own_status_and_reason() -> None:
    full = {"ttft_seconds": [1.0] * 3, "ttft_seconds@64": [9.0] * 3}
    record = build_record({"base": full, "small": {"ttft_seconds": [1.0] * 3, "ttft_seconds@64": [Status.OUT_OF_MEMORY] * 3}})
    one, many = (r for r in rows(record) if r.variant == "small")
    assert (one.status, one.verdict) == ("succeeded", "equivalent")
    assert (many.status, many.verdict, many.reason, many.value) == ("out_of_memory", "did not fit", "batch 64: out_of_memory", None)


def test_a_process_killed_for_memory_keeps_the_points_that_it_had_measured() -> None:
    killed = {("small", r): {"status": "out_of_memory", "reason": "killed"} for r in range(3)}
    record = build_record({"base": {"ttft_seconds": [1.0] * 3, "ttft_seconds@64": [9.0] * 3}, "small": {"ttft_seconds": [0.5] * 3}}, runs=killed)
    one, many = (r for r in rows(record) if r.variant == "small")
    assert (one.value, one.verdict) == (0.5, "better")
    assert (many.status, many.reason) == ("out_of_memory", "killed")


def test_what_a_failed_run_left_does_not_count() -> None:
    record = build_record(
        {"base": {"ttft_seconds": [1.0] * 4}, "small": {"ttft_seconds": [0.5, 0.5, 0.5, 77.0]}},
        runs={("small", 3): {"status": "failed", "reason": "signal 11"}},
    )
    row = rows(record)[1]
    assert (row.value, row.high, row.n_rounds, row.status) == (0.5, 0.5, 3, "succeeded")
    assert row.reason == "1 of 4 rounds failed: signal 11"


def test_runs_to_come_are_not_measured_yet() -> None:
    waiting: dict[str, Any] = {"status": "queued", "measurements": [], "seconds": None}
    running = waiting | {"status": "running", "phase": "warm-up 1 of 3"}
    record = build_record({"base": {"ttft_seconds": [1.0]}, "small": {}}, quality={}, runs={("small", 0): running},
                          quality_runs={"base": waiting, "small": waiting})  # fmt: skip
    assert [(r.variant, r.metric, r.status, r.reason) for r in rows(record)] == [
        ("base", "ttft_seconds", "succeeded", None),
        ("base", "perplexity", "not measured", "queued"),
        ("small", "ttft_seconds", "not measured", "running: warm-up 1 of 3"),
        ("small", "perplexity", "not measured", "queued"),
    ]


def test_once_perplexity_is_known_its_point_is_the_texts() -> None:
    waiting: dict[str, Any] = {"status": "queued", "measurements": []}
    record = build_record({"base": {}, "small": {}}, quality={"base": {"perplexity": BLOCKS}}, quality_runs={"small": waiting})
    found = [r for r in rows(record) if r.metric == "perplexity"]
    assert [r.point for r in found] == [TEXT, TEXT]
    assert [r.verdict for r in found] == ["baseline", "not measured"]


def test_an_unknown_metric_is_named() -> None:
    record = small()
    record["runs"][0]["measurements"][0]["metric"] = "happiness"
    with pytest.raises(ValueError, match="'happiness' is not known to this version"):
        rows(record)


def test_the_document_is_the_contract() -> None:
    record = small()
    for run in record["runs"]:
        run["evidence"] = {"some_technique": {"facts": {"round": run["round"]}, "problem": None}}
    record["runs"][0] |= {"status": "failed", "reason": "signal 9"}
    record["variants"][1]["stack"] = [{"technique": "bnb_4bit", "options": {"double_quant": False}}]
    made = json.loads(json.dumps(document(record, "http://host/experiment?id=x"), allow_nan=False))
    assert made["experiment"] == {"id": "test-experiment-000001", "title": "An experiment", "link": "http://host/experiment?id=x"}
    base, variant = made["variants"]
    assert (base["name"], base["baseline"], base["status"], base["reason"]) == ("base", True, "failed", "signal 9")
    assert base["evidence"]["some_technique"]["facts"] == {"round": 0}, "of its quality run, the first that succeeded"
    assert (variant["baseline"], variant["status"], variant["reason"]) == (False, "succeeded", None)
    assert variant["stack"] == [{"technique": "bnb_4bit", "options": {"double_quant": False}}]
    first = variant["metrics"][1]
    assert {"metric", "unit", "point", "median", "n_rounds", "ratio", "ci", "verdict"} <= first.keys()
    assert (first["metric"], first["unit"], first["point"], first["median"]) == ("weight_bytes", "bytes", {}, 100.0)
    assert (first["n_rounds"], first["ratio"], first["ci"], first["verdict"]) == (3, pytest.approx(0.25), None, "too few rounds")
    perplexity = variant["metrics"][2]
    assert perplexity["ci"] == [1.0, 1.0] and perplexity["verdict"] == "equivalent"


@pytest.mark.parametrize(("status", "code"), [
    ("succeeded", 0), ("out_of_memory", 0), ("unsupported", 0), ("failed", 1), ("timed_out", 1), ("cancelled", 1), ("queued", 1),
])  # fmt: skip
def test_exit_code(status: str, code: int) -> None:
    record = build_record({"base": {"ttft_seconds": [1.0] * 3}}, runs={("base", 1): {"status": status}})
    assert exit_code(record) == code


def test_progress_counts_and_estimates_by_kind() -> None:
    waiting: dict[str, Any] = {"status": "queued", "seconds": None}
    runs: dict[tuple[str, int], dict[str, Any]] = {
        ("base", 0): {"seconds": 10.0}, ("small", 0): {"seconds": 30.0},
        ("base", 1): waiting | {"status": "running", "phase": "measuring"}, ("small", 1): waiting,
    }  # fmt: skip
    speed: dict[str, dict[str, list[Any]]] = {"base": {"ttft_seconds": [1.0, 1.0]}, "small": {}}
    record = build_record(speed, quality={}, runs=runs, quality_runs={"base": {"seconds": 4.0}, "small": waiting})
    assert progress(record) == Progress(done=3, total=6, phase="measuring", seconds_left=20.0 + 20.0 + 4.0)


def test_progress_before_the_first_and_after_the_last_run() -> None:
    record = build_record({"base": {"ttft_seconds": [1.0]}}, runs={("base", 0): {"status": "queued", "seconds": None}})
    assert progress(record) == Progress(0, 1, None, None)
    assert progress(build_record({"base": {"ttft_seconds": [1.0]}})) == Progress(1, 1, None, 0.0)
    cancelled = build_record({"base": {"ttft_seconds": [1.0]}}, runs={("base", 0): {"status": "cancelled", "seconds": None}})
    assert progress(cancelled) == Progress(1, 1, None, None)


def test_a_number_that_cannot_be_had_is_not_measured_and_says_why() -> None:
    record = build_record({"base": {"peak_memory_bytes": [5.0] * 3}, "other": {"peak_memory_bytes": [Status.NOT_MEASURED] * 3}})
    row = next(r for r in rows(record) if r.variant == "other")
    assert (row.value, row.status, row.verdict, row.reason) == (None, "not measured", "not measured", "batch 1: not measured")
