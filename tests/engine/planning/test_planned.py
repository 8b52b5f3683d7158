"""Predictions beside measured peaks: from a record, for results of any age."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from engine import analysis
from engine.bundle import load_bundle
from engine.planning.planned import predictions
from engine.settings import REPOSITORY

REFERENCE = REPOSITORY / "experiments" / "reference"


@pytest.fixture(scope="module")
def qlora() -> dict[str, Any]:
    return load_bundle(REFERENCE / "train-qlora-llama-13b-h200.json")


def test_every_point_of_every_variant_has_its_prediction(qlora: dict[str, Any]) -> None:
    found = predictions(qlora, analysis.rows(qlora))
    assert len(found) == len(qlora["variants"]) * 4
    did_not_fit = [p for p in found if p.status == "out_of_memory"]
    assert did_not_fit and all(p.measured is None and p.error is None and p.plan is not None for p in did_not_fit)
    errors = [p.error for p in found if p.error is not None]
    assert len(errors) == len(found) - len(did_not_fit) and max(map(abs, errors)) < 0.05
    assert {p.capacity_bytes for p in found} == {150_754_820_096}


def test_a_summary_frame_says_the_same(qlora: dict[str, Any]) -> None:
    assert predictions(qlora, analysis.summary(qlora).itertuples()) == predictions(qlora, analysis.rows(qlora))


def test_a_technique_without_a_formula_says_why() -> None:
    record = load_bundle(REFERENCE / "runtimes-smollm2-135m-h100.json")
    unknown = [p for p in predictions(record, analysis.rows(record)) if p.plan is None]
    assert unknown and all(p.error is None and "onnxruntime has no memory formula" in str(p.reason) for p in unknown)


def test_peaks_of_a_cpu_are_not_compared() -> None:
    record = load_bundle(REFERENCE / "reviews-classifier-cpu.json")
    assert predictions(record, analysis.rows(record)) == []


def test_a_group_counts_the_processes_that_its_evidence_names(qlora: dict[str, Any]) -> None:
    record = copy.deepcopy(qlora)
    record["experiment"]["spec"]["variants"][0]["stack"].append({"technique": "ddp", "options": {}})
    for run in record["runs"]:
        run["evidence"] = (run["evidence"] or {}) | {"ddp": {"facts": {"processes": 4}, "problem": None}}
    alone = {(p.position, p.point_label): p for p in predictions(qlora, analysis.rows(qlora))}
    shared = predictions(record, analysis.rows(record))
    assert "cannot be dealt out evenly to 4" in str(shared[0].reason)  # batch 1
    four = next(p for p in shared if p.position == 0 and p.plan is not None)
    assert four.plan is not None and (before := alone[0, four.point_label].plan) is not None
    assert four.plan.components.activations == pytest.approx(before.components.activations / 4, rel=1e-6)


def test_a_record_of_a_version_with_other_techniques_has_none(qlora: dict[str, Any]) -> None:
    record = copy.deepcopy(qlora)
    record["experiment"]["spec"]["variants"][0]["stack"] = [{"technique": "of_tomorrow", "options": {}}]
    assert predictions(record, analysis.rows(qlora)) == []
