"""The advisor on records made by hand: each constraint failing, what is not measured, ties, and what must not be ranked together."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.answers.advice import Advice, Group
from engine.answers.advisor import advise, read
from engine.answers.question import Question
from engine.measurement import Status
from engine.record import Record
from tests.records import build_record

FEW = (1.0, 1.01, 0.99)
TEXT = [20.0 + i for i in range(16)]


def record(**variants: dict[str, Any]) -> Record:
    """decode: tokens/s, peak: bytes, ppl: factor on the baseline's perplexity (None: no quality run measured it)."""
    speeds = {
        name: {"decode_tokens_per_second": [v["decode"] * f for f in v.get("noise", FEW)], "peak_memory_bytes": [v.get("peak", 1e9)] * 3}
        for name, v in variants.items()
    }
    quality = {name: {"perplexity": [t * v.get("ppl", 1.0) for t in TEXT]} for name, v in variants.items() if v.get("ppl", 1.0)}
    return build_record(speeds, quality=quality)


def ask(question: Question, *records: Record) -> Advice:
    return advise(question, [read(r) for r in records])


def only(advice: Advice) -> Group:
    (group,) = advice.groups
    return group


def ranked(group: Group) -> list[tuple[str, str]]:
    return [(p.candidate.variant, p.relation) for p in group.ranked]


def reasons(candidates: Any, outcome: Any) -> dict[str, list[str]]:
    return {c.variant: [check.text for check in c.failures(outcome)] for c in candidates}


def test_the_fastest_of_those_that_meet_everything_is_first_and_the_others_say_why_not() -> None:
    made = record(
        base={"decode": 30, "peak": 4e9}, fast={"decode": 60, "peak": 2e9, "ppl": 1.008}, slow={"decode": 12, "peak": 1e9},
        rough={"decode": 90, "peak": 1e9, "ppl": 1.25}, unknown={"decode": 99, "peak": 1e9, "ppl": None},
    )  # fmt: skip
    group = only(ask(Question(max_memory_bytes=3e9, max_quality_loss=0.01, min_speed=20), made))
    assert ranked(group) == [("fast", "first")]
    assert reasons(group.failed, "failed") == {
        "base": ["peak memory of a call 3.73 GiB, 954 MiB beyond the limit of 2.79 GiB"],
        "slow": ["decode throughput 12 tok/s, 8 tok/s beyond the limit of 20 tok/s"],
        "rough": ["perplexity loss 25 %, 24 % beyond the limit of 1 %"],
    }
    by = {c.variant: c.failures("failed")[0].by for c in group.failed}
    assert by == {"base": 1e9, "slow": 8.0, "rough": pytest.approx(0.24)}
    assert list(reasons(group.not_measured, "not measured")) == ["unknown"], "never passed silently"
    assert group.sentence() == (
        "On a test machine for smollm2-135m (generation, batch=1, prompt_tokens=128, new_tokens=64): fast. "
        "Decode throughput 60 tok/s, 2.00 x base (2.00 to 2.00), better; Peak memory of a call 1.86 GiB, 0.50 x base (0.50 to 0.50), better; "
        "Perplexity 27.3, 1.01 x base (1.01 to 1.01), equivalent."
    )


def test_where_nothing_meets_every_constraint_the_sentence_counts_what_speaks_against_it() -> None:
    made = record(base={"decode": 30}, other={"decode": 31, "ppl": None})
    group = only(ask(Question(max_memory_bytes=1e6, max_quality_loss=0.01), made))
    assert not group.ranked and len(group.failed) == 2
    assert group.sentence().endswith("no variant meets every constraint: 2 failed.")
    assert [c.constraint for c in group.failed[1].checks if c.outcome == "not measured"] == ["quality"], "both are said"


def test_a_quality_run_that_failed_has_said_nothing_about_quality() -> None:
    made = record(base={"decode": 30}, crashed={"decode": 60, "ppl": None})
    for run in made["runs"]:
        if run["kind"] == "quality" and run["variant"] == 1:
            run |= {"status": "failed", "reason": "signal 11", "measurements": []}
    group = only(ask(Question(max_quality_loss=0.01), made))
    assert reasons(group.not_measured, "not measured") == {"crashed": ["perplexity is not measured (signal 11)"]}


def test_what_did_not_fit_fails_and_what_was_never_run_is_not_measured() -> None:
    made = build_record({
        "base": {"decode_tokens_per_second": [30.0, 30, 30], "decode_tokens_per_second@8": [200.0, 200, 200]},
        "large": {"decode_tokens_per_second": [40.0, 41, 42], "decode_tokens_per_second@8": [Status.OUT_OF_MEMORY] * 3},
        "later": {},
    }, runs={("later", r): {"status": "queued"} for r in range(3)})  # fmt: skip
    group = only(ask(Question(point=(("batch", "8"),)), made))
    assert ranked(group) == [("base", "first")]
    assert reasons(group.failed, "failed") == {"large": ["decode throughput: did not fit (batch 8: out_of_memory)"]}
    assert reasons(group.not_measured, "not measured") == {"later": ["decode throughput is not measured (queued)"]}


def test_variants_are_told_apart_where_their_intervals_do_not_overlap() -> None:
    noisy = (0.8, 1.3, 1.0)
    made = record(base={"decode": 30}, first={"decode": 60}, near={"decode": 55, "noise": noisy}, same={"decode": 60})
    group = only(ask(Question(), made))
    assert ranked(group) == [("first", "first"), ("same", "not distinguishable"), ("near", "not distinguishable"), ("base", "behind")]
    assert "Not distinguishable from it: same, near." in group.sentence()


def test_of_those_that_cannot_be_told_apart_the_smallest_is_named() -> None:
    made = record(base={"decode": 30, "peak": 4e9}, first={"decode": 60, "peak": 2e9}, same={"decode": 60, "peak": 1e9})
    assert only(ask(Question(), made)).sentence().endswith("it: same. Of these, same takes least: peak memory of a call 954 MiB.")
    equal = record(base={"decode": 30, "peak": 4e9}, first={"decode": 60}, same={"decode": 60})
    assert "takes least" not in only(ask(Question(), equal)).sentence()
    assert "takes least" not in only(ask(Question("memory"), made)).sentence(), "it is what was asked for"


def test_two_rounds_rank_but_tell_nothing_apart() -> None:
    made = build_record({"base": {"decode_tokens_per_second": [30.0, 30]}, "fast": {"decode_tokens_per_second": [60.0, 60]}})
    group = only(ask(Question(), made))
    assert ranked(group) == [("fast", "first"), ("base", "too few rounds")]
    assert "Too few rounds to tell it from: base." in group.sentence() and group.undecided


def test_an_interval_on_both_sides_of_the_limit_is_said() -> None:
    made = build_record({
        "base": {"decode_tokens_per_second": [30.0, 31, 30], "peak_memory_bytes": [0.9e9, 1.05e9, 0.98e9]},
        "few": {"decode_tokens_per_second": [20.0], "peak_memory_bytes": [1e8]},
    })  # fmt: skip
    group = only(ask(Question(max_memory_bytes=1e9), made))
    checks = {p.candidate.variant: p.candidate.checks[1] for p in group.ranked}
    assert not checks["base"].certain and "its interval lies on both sides of it" in checks["base"].text
    assert not checks["few"].certain and "too few rounds for an interval" in checks["few"].text
    assert "limit 954 MiB, but its interval lies on both sides of it." in group.sentence()


def again(made: Record, identity: str, created: str, factor: float = 1.0) -> Record:
    """The same results under another id, all speeds times a factor: what another day's machine gives."""
    copy: Record = json.loads(json.dumps(made))
    copy["experiment"] |= {"id": identity, "title": identity, "created_at": created}
    for run in copy["runs"]:
        for m in run["measurements"]:
            if m["metric"] == "decode_tokens_per_second" and m["samples"]:
                m |= {"value": m["value"] * factor, "samples": [s * factor for s in m["samples"]]}
    return copy


def test_two_experiments_with_one_baseline_are_ranked_by_their_ratios() -> None:
    first = again(record(base={"decode": 30}, double={"decode": 60}), "one", "2026-01-02T00:00:00Z")
    second = again(record(base={"decode": 30}, triple={"decode": 90}), "two", "2026-01-01T00:00:00Z", factor=0.1)
    group = only(ask(Question(), first, second))
    assert group.compared_by == "ratio" and group.experiments == {"one": "one", "two": "two"}
    assert [p.candidate.variant for p in group.ranked][:2] == ["triple", "double"], "9 tok/s is three times its baseline, 60 is twice"
    assert {p.candidate.experiment for p in group.ranked} == {"one", "two"}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda r: r["variants"][0].update(stack=[{"technique": "bfloat16", "options": {}}]), "baseline"),
        (lambda r: r["environments"]["e" * 64]["packages"].update(torch="2.12.0"), "torch"),
        (lambda r: r["environments"]["e" * 64].update(threads=4), "CPU threads"),
        (lambda r: r["experiment"]["spec"]["workload"]["options"].update(quality_tokens=2048), "workload quality_tokens"),
    ],
)
def test_what_differs_in_more_than_the_stack_is_not_ranked_together(change: Any, named: str) -> None:
    made = record(base={"decode": 30}, fast={"decode": 60})
    other = again(made, "other", "2025-01-01T00:00:00Z")
    change(other)
    advice = ask(Question(), made, other)
    assert len(advice.groups) == 2
    assert advice.notes == (f"“An experiment” and “other” cannot be ranked together: they differ in {named}.",)


def test_saying_a_default_makes_no_difference() -> None:
    made = record(base={"decode": 30}, fast={"decode": 60})
    other = again(made, "other", "2025-01-01T00:00:00Z")
    other["experiment"]["spec"]["workload"]["options"] = {"prompt_tokens": 128}
    assert len(only(ask(Question(), made, other)).experiments) == 2


def test_without_a_baseline_that_fits_values_are_ranked_within_one_experiment_only() -> None:
    made = build_record({
        "base": {"decode_tokens_per_second": [Status.OUT_OF_MEMORY] * 3}, "a": {"decode_tokens_per_second": [10.0, 10, 10]},
        "b": {"decode_tokens_per_second": [20.0, 21, 20]},
    })  # fmt: skip
    advice = ask(Question(), made, again(made, "other", "2025-01-01T00:00:00Z"))
    assert [g.compared_by for g in advice.groups] == ["value", "value"]
    assert ranked(advice.groups[0]) == [("b", "first"), ("a", "behind")]
    assert advice.notes == ("“An experiment” and “other” cannot be ranked together: a baseline has no value, so there is no ratio to compare.",)


def test_a_variant_from_another_environment_has_no_rank() -> None:
    made = record(base={"decode": 30}, moved={"decode": 60})
    made["environments"]["f" * 64] = {"device": "another machine"}
    for run in made["runs"]:
        run["environment"] = "f" * 64 if run["variant"] == 1 else run["environment"]
    group = only(ask(Question(), made))
    assert ranked(group) == [("base", "first")]
    (said,) = reasons(group.not_measured, "not measured")["moved"]
    assert said.startswith("decode throughput has no ratio to the baseline: another environment than the baseline's: device another machine")


def test_every_answer_names_the_runs_behind_it() -> None:
    made = record(base={"decode": 30}, fast={"decode": 60})
    contended = next(r for r in made["runs"] if r["variant"] == 1 and r["round"] == 1)
    contended["details"] = {"contended": "2 other processes on the GPU before the run"}
    first = only(ask(Question(), made)).ranked[0].candidate
    assert [(r["kind"], r["round"]) for r in first.runs] == [("quality", 0), ("speed", 0), ("speed", 2)], "not the one that was left out"
    ids = {r["id"] for r in made["runs"] if r["variant"] == 1}
    assert {r["id"] for r in first.runs} < ids


def test_shapes_and_kernels_can_be_left_out() -> None:
    made = record(base={"decode": 30})
    made["experiment"]["spec"]["model"] = {"source": "shape", "name": "llama-7b", "revision": None}
    assert ask(Question(), made).groups
    assert not ask(Question(real_models=True), made).groups


@pytest.mark.parametrize(
    ("question", "said"),
    [
        (Question(model="gpt-5"), "model: nothing was measured with 'gpt-5'; there is smollm2-135m"),
        (Question(device="H300"), "device: nothing was measured with 'H300'; there is a test machine"),
        (Question(point=(("batch", "3"),)), "point: nothing was measured at batch=3; there is batch=1"),
    ],
)
def test_what_nobody_measured_is_named(question: Question, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ask(question, record(base={"decode": 30}))


def test_an_experiment_about_something_else_has_no_answer() -> None:
    assert ask(Question("training"), record(base={"decode": 30})).groups == ()


def test_the_document_is_json_without_surprises() -> None:
    made = record(base={"decode": 30}, fast={"decode": 60, "ppl": None})
    document = json.loads(json.dumps(ask(Question(max_quality_loss=0.01, point=(("batch", "1"),)), made).document(), allow_nan=False))
    assert document["question"]["point"] == {"batch": "1"} and document["question"]["max_quality_loss"] == 0.01
    (group,) = document["groups"]
    assert group["experiments"][0]["link"].endswith("/experiment?id=test-experiment-000001")
    (best,) = group["ranked"]
    assert best["variant"] == "base" and best["rank"] == 1 and best["measured"]["decode_tokens_per_second"]["value"] == 30
    assert [c["outcome"] for c in group["not_measured"][0]["checks"]] == ["met", "not measured"]


def test_timings_that_their_control_refutes_rank_nothing() -> None:
    exact = [1.0, 1.001, 0.999, 1.0, 1.002]
    speeds = {"base": 30.0, "fast": 60.0, "base, again": 20.0}
    made = build_record({name: {"decode_tokens_per_second": [v / x for x in exact], "weight_bytes": [8.0] * 5} for name, v in speeds.items()})
    made["experiment"]["spec"] |= {"control": True, "baseline": "base"}
    group = only(ask(Question(objective="decode"), made))
    assert not group.ranked and {c.variant for c in group.not_measured} == {"base", "fast"}, "the control is no choice"
    assert "unreliable: the baseline measured again differs from itself" in str(reasons(group.not_measured, "not measured")["fast"])
    made["experiment"]["spec"]["control"] = False
    assert only(ask(Question(objective="decode"), made)).ranked[0].candidate.variant == "fast"
