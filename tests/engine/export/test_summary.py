"""The two summaries: rows, columns, units, provenance, and that nothing which failed is missing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from engine.analysis import rows
from engine.bundle import load_bundle
from engine.export.files import Source, content
from engine.export.provenance import workload_hash
from engine.imports.tools import read_file
from engine.metrics import METRICS
from engine.settings import REPOSITORY
from tests.engine.export.records import LINK, read, record
from tests.records import build_record

PROVENANCE = [
    "source", "measured_by", "device_name", "machine", "driver", "cuda", "torch", "transformers", "python", "layered_packages", "model_source", "model",
    "model_revision", "workload", "workload_hash", "rounds", "seed", "commit",
]  # fmt: skip
FAILED = {("small", r): {"status": "failed", "reason": "signal 11", "measurements": []} for r in range(3)}


def test_one_row_per_variant_metric_and_point() -> None:
    found = read(content("csv", Source(record(), LINK)))
    assert list(found[0]) == [
        "experiment_id", "title", "device", "created_at", "link", "variant_id", "variant", "stack", "baseline", "metric", "label", "unit", "kind",
        "point", "status", "reason", "value", "low", "high", "n_rounds", "n_samples", "ratio", "ci_low", "ci_high", "verdict", *PROVENANCE,
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
    assert (time["variant_id"], time["created_at"]) == ("test-experiment-000001.1", "2026-01-02T03:04:05Z")


def test_json_has_the_same_rows() -> None:
    made, flat = json.loads(content("json", Source(record(), LINK))), read(content("csv", Source(record(), LINK)))
    assert [list(row) for row in made] == [list(row) for row in flat]
    assert made[2]["point"] == {"batch": 1, "prompt_tokens": 128, "new_tokens": 64}
    assert (made[2]["value"], made[2]["baseline"], made[3]["ci_low"], made[2]["link"]) == (0.55, False, None, LINK)
    assert json.loads(content("json", Source(record())))[0]["link"] is None


def test_one_row_per_variant_with_units_in_the_names() -> None:
    base, small = read(content("variants", Source(record(), LINK)))
    metrics = [name for name in base if name in METRICS]
    assert metrics == ["ttft_seconds", "kv_cache_bytes"]
    assert float(small["ttft_seconds"]) == 0.55 and float(small["ttft_seconds_ratio"]) == pytest.approx(0.5)
    assert (base["ttft_seconds_verdict"], small["ttft_seconds_verdict"], small["kv_cache_bytes_verdict"]) == ("baseline", "better", "better")
    assert (small["variant_id"], small["stack"], small["status"], small["runs"], small["runs_succeeded"]) == (
        "test-experiment-000001.1", "the model as stored", "succeeded", "3", "3",
    )  # fmt: skip


def test_every_speed_and_memory_metric_says_its_unit_in_its_name() -> None:
    unit = {"s": ("_seconds", "seconds_per_example"), "bytes": ("_bytes",), "J": ("_joules_",), "bits": ("bits_",), "tok/s": ("_tokens_per_second",),
            "ex/s": ("examples_per_second",), "TFLOP/s": ("tflops_per_second",)}  # fmt: skip
    assert [m.name for m in METRICS.values() if m.unit in unit and not any(word in m.name for word in unit[m.unit])] == []


@pytest.mark.parametrize("status", ["failed", "out_of_memory", "timed_out", "unsupported", "cancelled"])
def test_what_gave_no_number_keeps_its_row_with_status_and_reason(status: str) -> None:
    lost = record(runs={key: change | {"status": status} for key, change in FAILED.items()})
    long_rows = [r for r in read(content("csv", Source(lost))) if r["variant"] == "small"]
    assert [(r["status"], r["value"], r["ratio"], r["n_rounds"]) for r in long_rows] == [(status, "", "", "0")] * 2
    assert all("signal 11" in r["reason"] for r in long_rows)
    base, small = read(content("variants", Source(lost)))
    assert (small["status"], small["reason"], small["ttft_seconds"], small["runs_succeeded"]) == (status, "signal 11", "", "0")
    assert (base["status"], base["reason"]) == ("succeeded", "")


def test_a_point_that_did_not_fit_stands_beside_those_that_did() -> None:
    found = read(content("variants", Source(load_bundle(REPOSITORY / "experiments" / "reference" / "llama-7b-h200.json"))))
    assert len(found) > 1 and all(float(r["decode_tokens_per_second"]) > 0 for r in found if r["status"] == "succeeded")


def test_where_a_number_comes_from_is_beside_it() -> None:
    of_gpu = load_bundle(REPOSITORY / "experiments" / "reference" / "4-bit-llama-7b-h100.json")
    of_gpu["runs"][0]["details"]["code"] = "c" * 40
    found = {r["variant"]: r for r in read(content("variants", Source(of_gpu, LINK)))}
    base, hqq = found["bfloat16"], found["hqq_4bit_g64"]
    assert {name: base[name] for name in PROVENANCE if name != "workload_hash"} == {
        "source": "local", "measured_by": "LLM Trade-off Lab",
        "device_name": "NVIDIA H100 80GB HBM3", "machine": "vm-7cab", "driver": "580.159.04", "cuda": "13.0", "torch": "2.11.0",
        "transformers": "5.17.0", "python": "3.12.3", "layered_packages": "", "model_source": "shape", "model": "llama-7b", "model_revision": "",
        "workload": "generation", "rounds": "3", "seed": "0", "commit": "c" * 40,
    }  # fmt: skip
    assert hqq["layered_packages"] == "hqq 0.2.8.post1, termcolor 3.3.0" and hqq["commit"] == ""
    assert hqq["workload_hash"] == base["workload_hash"] and len(base["workload_hash"]) == 16
    assert base["stack"] == "bfloat16" and found["bnb_fp4"]["stack"] == "bfloat16 + bnb_4bit(quant_type=fp4)"


def test_what_another_tool_measured_says_so() -> None:
    file = Path(__file__).parents[1] / "imports" / "files" / "lm_eval.json"
    found = read(content("csv", Source(read_file(file.name, file.read_bytes()), LINK)))
    assert {r["source"] for r in found} == {"imported"} and {r["verdict"] for r in found} == {"imported"}
    assert all(r["measured_by"].startswith("lm-eval") and r["stack"] == "" for r in found)


def test_the_hash_of_a_workload_is_of_every_option() -> None:
    usual = workload_hash({"name": "generation", "options": {}})
    assert usual == workload_hash({"name": "generation", "options": {"batch_sizes": [1]}}), "an option that is left out is the same as its default"
    assert usual != workload_hash({"name": "generation", "options": {"batch_sizes": [1, 2]}})
    assert workload_hash({"name": "of another version", "options": {"a": 1}}) != workload_hash({"name": "of another version", "options": {"a": 2}})


def test_several_experiments_share_their_columns() -> None:
    timed, sized = build_record({"a": {"ttft_seconds": [1.0]}}), build_record({"b": {"weight_bytes": [2.0]}}, experiment_id="other")
    a, b = read(content("variants", Source(timed), Source(sized)))
    assert (a["ttft_seconds"], a["weight_bytes"], b["ttft_seconds"], b["weight_bytes"]) == ("1.0", "", "", "2.0")
    assert (a["variant_id"], b["variant_id"]) == ("test-experiment-000001.0", "other.0")
    one_after_the_other = [*read(content("csv", Source(timed))), *read(content("csv", Source(sized)))]
    assert read(content("csv", Source(timed), Source(sized))) == one_after_the_other


def test_a_point_can_be_chosen() -> None:
    found = build_record({"a": {"ttft_seconds": [1.0], "ttft_seconds@4": [3.0], "weight_bytes": [5.0]}})
    point = "batch=4, prompt_tokens=128, new_tokens=64"
    first, chosen = (read(content("variants", Source(found, point=p)))[0] for p in (None, point))
    assert (first["ttft_seconds"], chosen["ttft_seconds"], chosen["weight_bytes"]) == ("1.0", "3.0", "5.0")


def test_rows_that_are_given_are_not_computed_again() -> None:
    found = record()
    given = [replace(row, verdict="as it was") for row in rows(found)]
    assert {r["verdict"] for r in read(content("csv", Source(found, given=given)))} == {"as it was"}
