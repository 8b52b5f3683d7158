"""What an experiment becomes when it is tried again, and what differs between two specs, in words."""

from __future__ import annotations

from typing import Any

import pytest

from engine.bundle import load_bundle
from engine.planning.changes import CHANGES, changed, differences, retried
from engine.presets import load_spec, parse_spec, preset_names
from engine.record import Record, new_record
from engine.references import FOLDER
from engine.workload import Workload
from tests.records import build_record

TIMED = {"decode_tokens_per_second": [30.0, 31.0, 29.0]}


def made(failed: dict[tuple[str, int], dict[str, Any]], **spec: Any) -> Record:
    record = build_record({"base": TIMED, "a": TIMED, "b": TIMED}, runs=failed)
    record["experiment"]["spec"] |= spec
    return record


def test_a_retry_measures_what_failed_beside_the_baseline() -> None:
    record = made({("b", 1): {"status": "failed", "reason": "signal 11"}})
    assert retried(record) == [0, 2]
    spec = changed(record, "failed")
    assert [v.name for v in spec.variants] == ["base", "b"] and spec.baseline == "base"
    assert spec.title == "An experiment, retry" and spec.rounds == record["experiment"]["spec"]["rounds"]


def test_where_the_baseline_failed_all_are_measured_again() -> None:
    assert retried(made({("base", 0): {"status": "timed_out", "reason": "time limit"}})) == [0, 1, 2]


@pytest.mark.parametrize("status", ["out_of_memory", "unsupported", "succeeded"])
def test_what_is_a_result_is_not_retried(status: str) -> None:
    record = made({("b", 0): {"status": status, "reason": "x"}})
    assert retried(record) == []
    with pytest.raises(ValueError, match="nothing to retry"):
        changed(record, "failed")


def test_the_control_comes_back_by_its_option_and_not_as_a_variant() -> None:
    record = build_record({n: {"decode_tokens_per_second": [30.0] * 5} for n in ("base", "a", "base, again")})
    record["experiment"]["spec"]["control"] = True
    spec = changed(record, "verdict")
    assert [v.name for v in spec.variants] == ["base", "a", "base, again"] and spec.control


def test_more_rounds_where_they_were_too_few() -> None:
    assert changed(made({}, rounds=1), "verdict").rounds == 5
    assert changed(made({}, rounds=7), "verdict").rounds == 7, "never fewer"


def test_longer_stays_within_what_a_spec_allows() -> None:
    assert changed(made({}, timeout_seconds=600), "longer").timeout_seconds == 2400
    assert changed(made({}, timeout_seconds=80_000), "longer").timeout_seconds == 86_400


@pytest.mark.parametrize(("options", "smaller"), [
    ({"batch_sizes": [1, 8]}, {"batch_sizes": [1, 4]}),
    ({"batch_sizes": [2]}, {"batch_sizes": [1]}),
    ({"batch_sizes": [1], "prompt_tokens": 512}, {"batch_sizes": [1], "prompt_tokens": 256}),
])  # fmt: skip
def test_smaller_halves_the_largest_batch_and_then_the_length(options: dict[str, Any], smaller: dict[str, Any]) -> None:
    workload = {"name": "generation", "options": options}
    assert changed(made({}, workload=workload), "smaller").workload.options == smaller


@pytest.mark.parametrize("name", [n for n in preset_names() if n != "multiple-choice"])
def test_smaller_is_possible_for_the_presets(name: str) -> None:
    spec = load_spec(name)
    before, after = (s.workload.build() for s in (spec, changed(new_record(spec), "smaller")))
    assert isinstance(after, Workload) and after != before


def test_where_nothing_can_be_halved_it_says_so() -> None:
    with pytest.raises(ValueError, match="workload: multiple_choice has nothing that could be halved"):
        changed(new_record(load_spec("multiple-choice")), "smaller")


def test_a_change_that_is_not_known_is_named() -> None:
    with pytest.raises(ValueError, match="change: 'rm -rf' is not known; there is again, failed, verdict, smaller, longer"):
        changed(made({}), "rm -rf")


def test_a_title_stays_within_its_length() -> None:
    record = made({}, title="x" * 200)
    assert all(len(changed(record, name).title) <= 200 for name in CHANGES if name != "failed")


def test_every_reference_can_be_measured_again() -> None:
    for path in sorted(FOLDER.glob("*.json")):
        assert changed(load_bundle(path), "verdict").rounds >= 5


def test_differences_are_said_one_by_one() -> None:
    before = load_spec("quickstart")
    data = before.model_dump(mode="json")
    data |= {"rounds": 5, "title": "another name", "workload": {"name": "generation", "options": {**data["workload"]["options"], "batch_sizes": [1, 4]}}}
    data["variants"] = [v for v in data["variants"] if v["name"] != "bnb_int8"] + [{"name": "hqq", "stack": ["hqq"]}]
    after = parse_spec(data)
    assert differences(before, after) == [
        "rounds: 5 instead of 3", "workload batch sizes: 1, 4 instead of 1", "without bnb_int8", "with hqq",
    ]  # fmt: skip
    assert differences(before, before) == []


def test_another_workload_and_another_stack_of_the_same_name_are_differences() -> None:
    one = parse_spec({"title": "x", "model": "gpt2", "variants": [{"name": "v", "stack": ["bfloat16"]}]})
    other = parse_spec({"title": "x", "model": "tiny-llama", "workload": "encoder_forward", "variants": [{"name": "v", "stack": ["float16"]}]})
    found = differences(one, other)
    assert "model: tiny-llama instead of gpt2" in found and "workload: encoder_forward instead of generation" in found
    assert "v: float16 instead of bfloat16" in found
