"""The rule of the verdicts on claims, each word caused by a record made by hand; then the real bundles."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from engine.answers.claim_verdicts import Assessment, Evidence, assess, evidence, judge
from engine.answers.claim_words import claimed_text, document, measured_text, number_text
from engine.answers.claims import Claim, Claimed, claims
from engine.measurement import Status
from engine.record import Record
from engine.references import load_references
from tests.engine.answers.claim_records import BYTES, SPEED, claim, record


def verdict(one: Any, *records: Record, own: bool = True) -> Assessment:
    total = Evidence()
    for r in records:
        total.extend(evidence(one, r, own=own))
    return assess(one, total)


@pytest.mark.parametrize(("low", "high", "word"), [
    (1.9, 2.1, "reproduced"), (1.8, 2.2, "reproduced"), (2.1, 2.3, "compatible"), (1.0, 3.0, "compatible"), (2.3, 2.5, "not reproduced"),
    (0.1, 1.7, "not reproduced"),
])  # fmt: skip
def test_an_interval_against_a_range(low: float, high: float, word: str) -> None:
    assert judge(Claimed(about=2.0), low, high) == word


def test_open_ends() -> None:
    assert judge(Claimed(low=-0.01), -0.005, 5.0) == "reproduced" and judge(Claimed(high=0.0), -0.1, 0.1) == "compatible"


@pytest.mark.parametrize(("variant", "word", "reason"), [
    ([2e8], "reproduced", None), ([1e8], "not reproduced", "more than claimed"), ([4e8], "not reproduced", "less than claimed"),
])  # fmt: skip
def test_counted_bytes_need_no_interval(variant: list[float], word: str, reason: str | None) -> None:
    found = verdict(claim(), record("weight_bytes", [4e8], variant))
    assert (found.verdict, found.reason) == (word, reason)
    assert found.shown is not None and found.shown.low is None and found.shown.estimate == pytest.approx(4e8 / variant[0])


def test_a_time_needs_rounds() -> None:
    once = verdict(claim(SPEED), record("decode_tokens_per_second", [10.0], [20.0]))
    assert once.verdict == "estimate only" and once.reason == "1 round, so there is no interval; three are needed"
    assert once.shown is not None and once.shown.estimate == pytest.approx(2.0)
    five = verdict(claim(SPEED), record("decode_tokens_per_second", [10.0, 10.1, 9.9, 10.0, 10.1], [20.0, 20.3, 19.9, 20.1, 20.0]))
    assert five.verdict == "reproduced" and five.shown is not None and five.shown.low is not None and five.shown.low < 2.0
    noisy = verdict(claim(SPEED), record("decode_tokens_per_second", [10.0, 10.1, 9.9], [20.0, 30.0, 14.0]))
    assert noisy.verdict == "compatible" and noisy.reason is None


def test_peaks_are_counted_by_a_gpus_allocator_and_move_on_a_cpu() -> None:
    one = claim(metric="peak_memory_bytes")
    assert verdict(one, record("peak_memory_bytes", [4e8], [2e8], hardware="NVIDIA H200", kind="cuda")).verdict == "reproduced"
    assert verdict(one, record("peak_memory_bytes", [4e8], [2e8])).verdict == "estimate only"


@pytest.mark.parametrize(("settle", "stacks", "says"), [
    ({"models": ["llama-7b"]}, (["float32"], ["bnb_int8"]), "model smollm2-135m, not llama-7b"),
    ({"device": "cuda"}, (["float32"], ["bnb_int8"]), "measured on a cpu device, not cuda"),
    ({"options": {"prompt_tokens": [512]}}, (["float32"], ["bnb_int8"]), "prompt_tokens 128, not 512"),
    ({"baseline": ["float16"]}, (["float32"], ["bnb_int8"]), "measured without a variant float16 beside it"),
])  # fmt: skip
def test_another_configuration_is_not_comparable_and_says_what_differs(settle: dict[str, Any], stacks: Any, says: str) -> None:
    found = verdict(claim(settle=settle), record("weight_bytes", [4e8], [2e8], stacks=stacks))
    assert (found.verdict, found.reason) == ("not comparable", f"By hand: {says}")


def test_another_point_is_not_comparable() -> None:
    found = verdict(claim(SPEED, settle={"point": {"batch": [8]}}), record("decode_tokens_per_second", [10.0] * 3, [20.0] * 3))
    assert found.verdict == "not comparable" and "batch=1" in str(found.reason)


def test_nothing_is_not_measured() -> None:
    assert verdict(claim()).verdict == "not measured"
    other_stack = record("weight_bytes", [4e8], [2e8], stacks=(["float32"], ["bfloat16"]))
    assert verdict(claim(), other_stack).reason == "no such run yet"
    did_not_fit = verdict(claim(SPEED), record("decode_tokens_per_second", [10.0], [Status.OUT_OF_MEMORY]))
    assert did_not_fit.verdict == "not measured" and "did not fit" in str(did_not_fit.reason)
    hopeless = Claim.model_validate(BYTES | {"settle": None, "unsettled": "no way"})
    assert verdict(hopeless).reason == "no way"


def test_the_size_of_one_model_has_nothing_to_do_with_another() -> None:
    one = claim(quantity="value", claimed={"about": 2e8}, settle={"baseline": [], "models": ["gpt2"]})
    assert verdict(one, record("weight_bytes", [4e8], [2e8])).verdict == "not measured"


def test_quantities() -> None:
    made = record("weight_bytes", [4e8], [1e8])
    for quantity, claimed, estimate in (("times less", 4.0, 4.0), ("times more", 0.25, 0.25), ("change", -0.75, -0.75), ("saved", 3e8, 3e8)):
        found = verdict(claim(quantity=quantity, claimed={"about": claimed}), made)
        assert found.verdict == "reproduced" and found.shown is not None and found.shown.estimate == pytest.approx(estimate)
    value = verdict(claim(quantity="value", claimed={"about": 1e8}, settle={"baseline": []}), made)
    assert value.verdict == "reproduced" and value.shown is not None and (value.shown.estimate, value.shown.baseline) == (1e8, None)


def test_the_claims_baseline_counts_not_the_experiments() -> None:
    """The experiment's baseline is the quantized variant; the claim's is float32."""
    turned = record("weight_bytes", [2e8], [4e8], stacks=(["bnb_int8"], ["float32"]))
    found = verdict(claim(), turned)
    assert found.verdict == "reproduced" and found.shown is not None and (found.shown.baseline, found.shown.variant) == ("other", "base")


def test_a_pair_is_not_mixed() -> None:
    pairs = {"baseline": ["float32", "float16"], "variant": ["bnb_int8", "float16 + bnb_int8"], "paired": True}
    found = verdict(claim(settle=pairs), record("weight_bytes", [4e8], [2e8], stacks=(["float16"], ["bnb_int8"])))
    assert found.verdict == "not comparable" and str(found.reason).endswith("without a variant float32 beside it")


def test_measurements_that_disagree_or_lie_on_both_sides_are_compatible() -> None:
    def of(variant: float, name: str) -> Record:
        return record("weight_bytes", [4e8], [variant], experiment_id=name)

    mixed = verdict(claim(), of(2e8, "a"), of(1e8, "b"))
    assert (mixed.verdict, mixed.reason) == ("compatible", "1 of 2 measurements inside the range, 1 outside")
    around = verdict(claim(), of(4e8, "a"), of(1e8, "b"))
    assert (around.verdict, around.reason) == ("compatible", "0 of 2 measurements inside the range, 2 outside, on both sides of it")
    assert verdict(claim(), of(2e8, "a"), of(1.95e8, "b")).verdict == "reproduced"


def test_own_results_stand_apart_and_first() -> None:
    total = Evidence()
    total.extend(evidence(claim(), record("weight_bytes", [4e8], [2e8], hardware="NVIDIA H200", kind="cuda"), own=False))
    total.extend(evidence(claim(), record("weight_bytes", [4e8], [1e8], hardware="NVIDIA H200", kind="cuda"), own=True))
    found = assess(claim(), total).by_hardware()
    assert [(own, hardware, word) for own, hardware, word, _ in found] == [(True, "NVIDIA H200", "not reproduced"), (False, "NVIDIA H200", "reproduced")]


def test_a_test_speaks_where_nothing_was_measured_and_a_measurement_before_it() -> None:
    tested = claim(test="tests/engine/answers/test_claims.py::test_x", shows="not reproduced")
    assert verdict(tested).verdict == "not reproduced" and "shown by tests/" in str(verdict(tested).reason)
    assert verdict(tested, record("weight_bytes", [4e8], [2e8])).verdict == "reproduced"


def test_words() -> None:
    assert [number_text(claim(), v) for v in (3.938, 1022.3)] == ["3.94x", "1,022x"]
    change = claim(quantity="change", claimed={"low": -0.01})
    assert (claimed_text(change), number_text(change, 0.0)) == ("at least −1 % change", "±0 %")
    size = claim(quantity="value", claimed={"low": 548.26e6, "high": 548.36e6}, settle={"baseline": []})
    assert claimed_text(size) == "548.3 MB to 548.4 MB" and number_text(size, 2.6e11) == "260 GB"
    assert measured_text(size, None) == "not measured" and claimed_text(claim(claimed={"high": 3.0})) == "at most 3x less"


@functools.cache
def of_references() -> dict[str, Assessment]:
    shipped, problems = load_references()
    assert problems == []
    return {c.id: verdict(c, *shipped, own=False) for c in claims()}


def test_at_least_18_claims_have_a_verdict_from_the_bundles_that_are_shipped() -> None:
    decided = [a for a in of_references().values() if a.measurements and a.verdict in ("reproduced", "compatible", "not reproduced")]
    assert len(decided) >= 18
    assert {hardware for a in decided for _, hardware, _, _ in a.by_hardware()} >= {"NVIDIA H200", "NVIDIA H100 80GB HBM3", "AMD EPYC"}


@pytest.mark.parametrize("name", ["amp-halves-memory", "adafactor-half-of-adamw", "gpt2-int8-142-mb", "flash-softmax-per-block"])
def test_what_is_known_to_be_false_is_shown_to_be_false(name: str) -> None:
    assert of_references()[name].verdict == "not reproduced"


def test_figures_that_were_corrected_hold_and_those_of_the_chapter_do_not() -> None:
    for wrong, right in (
        ("lora-trains-4-million", "lora-trains-8388608"), ("llama-7b-nf4-3-5-gb", "llama-7b-nf4-3-9-gb"),
        ("double-quantization-saves-0-5-gb", "double-quantization-saves-0-30-gb"),
    ):  # fmt: skip
        assert (of_references()[wrong].verdict, of_references()[right].verdict) == ("not reproduced", "reproduced")


def test_the_document_has_the_promised_keys_and_is_plain_data() -> None:
    rows = document(list(of_references().values()), lambda i: f"link/{i}")
    assert all(list(row)[:8] == ["id", "statement", "conditions", "published", "measured", "ci", "verdict", "runs"] for row in rows)
    by_id = {row["id"]: row for row in rows}
    dynamic = by_id["int8-2x-speed-dynamic-cpu"]
    assert dynamic["ci"][0] < dynamic["measured"] < dynamic["ci"][1]
    assert dynamic["runs"][0]["link"] == f"link/{dynamic['runs'][0]['experiment']}" and dynamic["runs"][0]["rounds"] == 3
    assert by_id["gpt3-sizes"]["measured"] is None and by_id["gpt3-sizes"]["verdict"] == "not measured"


@pytest.mark.parametrize(("again", "word"), [(1.0, "reproduced"), (1.3, "not comparable")])
def test_timings_that_their_control_refutes_decide_nothing(again: float, word: str) -> None:
    exact = [1.0, 1.001, 0.999, 1.0, 1.002]
    made = record("decode_tokens_per_second", [30 / x for x in exact], [60 / x for x in exact])
    made["experiment"]["spec"] |= {"control": True, "baseline": "base"}
    made["variants"].append(made["variants"][0] | {"name": "base, again", "baseline": False})
    for run in [r for r in made["runs"] if r["variant"] == 0]:
        measurements = [m | {"value": m["value"] / again, "samples": [s / again for s in m["samples"]]} for m in run["measurements"]]
        made["runs"].append(run | {"variant": 2, "measurements": measurements})
    found = verdict(claim(SPEED), made)
    assert found.verdict == word and len(found.measurements) == (1 if word == "reproduced" else 0), "the control is no second witness"
    assert word == "reproduced" or "unreliable: the baseline measured again differs from itself" in str(found.reason)
