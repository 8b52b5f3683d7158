"""The sentences: one for each thing that was measured, "not measured" with the reason for each that was not, none invented."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.analysis import rows
from engine.answers.document import document
from engine.answers.explain import explain
from engine.bundle import load_bundle
from engine.record import Record
from engine.settings import REPOSITORY
from tests.engine.answers.test_outputs import answer
from tests.engine.answers.test_regimes import CEILINGS, PROFILE
from tests.records import build_record

WEIGHTS = {"weight_bytes": [2e9] * 3, "bits_per_parameter": [16.0] * 3}
NF4 = [{"technique": "bnb_4bit", "options": {}}]


def text(record: Record, position: int = 0) -> str:
    return "\n".join(explain(record, rows(record))[position].sentences)


def base(metrics: dict[str, list[float]], **run: Any) -> Record:
    return build_record({"base": WEIGHTS | metrics}, runs={("base", r): run for r in range(3)})


def with_profile(record: Record, position: int, **profile: Any) -> Record:
    run = record["runs"][0] | {"variant": position, "kind": "profile", "measurements": [], "details": {"profile": PROFILE | profile}}
    return record | {"runs": [*record["runs"], run]}


def kernel(name: str, seconds: float) -> dict[str, Any]:
    return {"name": name, "calls": 1, "seconds": seconds}


def test_limits_are_sentences_with_their_numbers() -> None:
    record = base({"inter_token_latency_seconds": [0.03] * 3, "kv_cache_bytes": [1e8] * 3}, details={"ceilings": CEILINGS})
    assert "Decode is bandwidth-bound: it reads weights and cache at 70 GB/s, 70 % of the copy bandwidth; computes at 66.7 GFLOP/s, 6.7 %" in text(record)
    assert explain(record, rows(record))[0].regimes[0].word == "bandwidth-bound"


def test_a_limit_that_changes_with_the_point_is_said_at_both_ends() -> None:
    metrics = {"inter_token_latency_seconds": [0.03] * 3, "inter_token_latency_seconds@512": [1.5] * 3,
               "inter_token_latency_seconds@8": [0.04] * 3, "kv_cache_bytes": [1e8] * 3, "kv_cache_bytes@8": [1e8] * 3}  # fmt: skip
    words = text(base(metrics, details={"ceilings": CEILINGS}))
    assert "Decode at batch=1, prompt_tokens=128, new_tokens=64 is bandwidth-bound" in words
    assert words.count("Decode at") == 1, "at batch 8, the last point, it is the same"
    words = text(base({k: v for k, v in metrics.items() if "@8" not in k}, details={"ceilings": CEILINGS}))
    assert "Decode at batch=512, prompt_tokens=128, new_tokens=64 is compute-bound" in words


def test_where_the_ceilings_are_missing_that_is_said() -> None:
    assert "What limits its speed is not measured: it was measured by a version that measured no ceilings." in text(base({}))
    assert "not measured: MemoryError: no room." in text(base({}, details={"ceilings": {"not_measured": "MemoryError: no room"}}))


def test_what_did_not_run_is_one_sentence() -> None:
    record = build_record({"base": WEIGHTS, "huge": {}}, runs={("huge", r): {"status": "out_of_memory", "reason": "no room"} for r in range(3)})
    assert text(record, 1) == "Nothing of it was measured: no room."


@pytest.mark.parametrize(("profile", "sentence"), [
    (None, "Its share of dequantization is not measured: there is no profile of it."),
    ({"kernels": [kernel("kDequantizeBlockwise", 0.3), kernel("gemm", 0.6)], "device_seconds_total": 1.0}, "Dequantization takes 30 % of the time"),
    ({"kernels": [kernel("kgemm_4bit_inference_naive", 0.9)], "device_seconds_total": 1.0}, "None of the 1 largest kernels or operators"),
    ({"device": "cpu", "cpu_seconds_total": 2.0, "operators": [
        {"name": "bitsandbytes::dequantize_4bit", "calls": 1, "cpu_seconds": 1.0, "device_seconds": 0.0, "memory_bytes": 0}]},
     "Dequantization takes 50 % of the time in its profile."),
])  # fmt: skip
def test_dequantization_is_read_from_a_profile_alone(profile: dict[str, Any] | None, sentence: str) -> None:
    record = build_record({"base": WEIGHTS, "nf4": WEIGHTS})
    record["variants"][1]["stack"] = NF4
    if profile is not None:
        record = with_profile(record, 1, **profile)
    assert sentence in text(record, 1)
    assert "equantiz" not in text(record, 0), "of plain weights there is nothing to say"


def test_kernels_that_ran_are_named() -> None:
    evidence = {"model": {"facts": {"attention": "sdpa"}, "problem": None}}
    record = with_profile(base({}, evidence=evidence), 0, kernels=[kernel("nvjet_hsh", 0.25)], device_seconds_total=0.5)
    assert "The model's attention ran as sdpa." in text(record)
    assert "Its largest kernel is nvjet_hsh: 50 % of the kernels' time." in text(record)


def compiled(seconds: float, first: float, compile_seconds: float = 30.0) -> Record:
    """A baseline of 2 s a generation of 64 tokens, its first call 3 s."""
    record = build_record({
        "base": WEIGHTS | {"generation_seconds": [2.0] * 3, "first_call_seconds": [3.0] * 3},
        "compiled": WEIGHTS | {"generation_seconds": [seconds] * 3, "first_call_seconds": [first] * 3, "compile_seconds": [compile_seconds] * 3},
    })  # fmt: skip
    for run in record["runs"]:
        for m in run["measurements"]:
            m["point"] = {} if m["metric"] == "compile_seconds" else m["point"]
    return record


@pytest.mark.parametrize(("seconds", "first", "sentence"), [
    (1.0, 33.0, "Its first call takes 30 s longer than the baseline's (compiling: 30 s), which is paid back after 1,920 new tokens."),
    (2.5, 33.0, "no gain was shown that would pay it back"), (1.99, 33.0, "no gain was shown that would pay it back"),
    (1.0, 2.0, "its first call takes no longer than the baseline's"),
])  # fmt: skip
def test_compilation_is_paid_back_after_so_many_tokens(seconds: float, first: float, sentence: str) -> None:
    record = compiled(seconds, first)
    assert sentence in text(record, 1)
    assert "ompil" not in text(record, 0)


def test_without_a_shown_gain_nothing_is_paid_back() -> None:
    once = compiled(1.0, 33.0)
    once["runs"] = [r for r in once["runs"] if r["round"] == 0]
    assert "too few rounds" in {r.verdict for r in rows(once)} and "no gain was shown that would pay it back" in text(once, 1)


def test_compilation_without_a_baseline_is_not_measured() -> None:
    record = compiled(1.0, 33.0)
    for run in record["runs"]:
        if run["variant"] == 0:
            run["measurements"] = [m for m in run["measurements"] if m["metric"] == "weight_bytes"]
    assert "It compiles for 30 s; after how much work that is paid back is not measured." in text(record, 1)


@pytest.mark.parametrize(("metrics", "sentence"), [
    ({"peak_memory_bytes": [4 * 2.0**30] * 3, "kv_cache_bytes": [2.0**30] * 3, "load_peak_memory_bytes": [2.0**30] * 3},
     "Its memory peaks at work, at 4 GiB, 47 % of it weights."),
    ({"peak_memory_bytes": [4 * 2.0**30] * 3, "load_peak_memory_bytes": [8 * 2.0**30] * 3},
     "Its memory peaks while loading, at 8 GiB; at work it peaks at 4 GiB"),
    ({"peak_memory_bytes": [4 * 2.0**30] * 3, "peak_weight_bytes": [2.0**30] * 3, "peak_activation_bytes": [2 * 2.0**30] * 3}, "50 % of it activations."),
])  # fmt: skip
def test_memory_says_where_its_peak_is(metrics: dict[str, list[float]], sentence: str) -> None:
    assert sentence in text(base(metrics))


def test_energy_is_a_number_or_a_reason() -> None:
    record = base({"energy_joules_per_token": [1.5] * 3})
    assert "It takes 1.5 J above idle per token, measured by NVML (batch=1, prompt_tokens=128, new_tokens=64)." in text(record)
    cpu = base({}, details={"energy": {"not_measured": "only GPUs have a counter"}})
    assert "Its energy is not measured: only GPUs have a counter." in text(cpu)
    assert "energy" not in text(base({})), "an earlier version did not try"


def test_answers_are_compared_with_the_baselines() -> None:
    answers = {"base": {"outputs": answer(0, 1, 2)}, "same": {"outputs": answer(0, 1, 2)}, "other": {"outputs": answer(0, 9, 9)}, "none": {}}
    record = build_record(dict.fromkeys(answers, WEIGHTS), quality={}, quality_runs={n: {"details": d} for n, d in answers.items()})
    assert "answer" not in text(record, 0) and "token" not in text(record, 0)
    assert "The first 3 greedy tokens are identical to the baseline's." in text(record, 1)
    assert "Its greedy answer leaves the baseline's at token 2 of 3." in text(record, 2)
    assert "not measured: its quality run kept no answer." in text(record, 3)


def test_the_kernel_workload_has_its_own_ceiling() -> None:
    record = build_record({"base": {"ceiling_share": [0.3] * 3, "ceiling_share@4": [0.6] * 3}})
    assert text(record).startswith("It reaches at most 60 % of the matrix-product ceiling, at batch=4")


def test_the_document_has_the_sentences() -> None:
    record = base({})
    assert document(record, None)["variants"][0]["why"] == list(explain(record, rows(record))[0].sentences)


@pytest.mark.parametrize("path", sorted((REPOSITORY / "experiments" / "reference").glob("*.json")), ids=lambda p: p.stem)
def test_every_reference_result_can_be_explained(path: Path) -> None:
    record = load_bundle(path)
    found = explain(record, rows(record))
    assert [w.variant for w in found] == [v["name"] for v in record["variants"]]
    assert all(w.sentences and all(s.endswith(".") for s in w.sentences) for w in found)
