"""Answers beside the baseline's: where they part, and why there is none."""

from __future__ import annotations

from typing import Any

import pytest

from engine.answers.outputs import RANDOM_WEIGHTS, outputs
from engine.record import Record
from tests.records import build_record


def answer(*ids: int) -> dict[str, Any]:
    """Each token is a letter and a blank."""
    text = "".join(f"{chr(97 + i)} " for i in ids)
    return {"prompt": "Say:", "ids": list(ids), "text": text, "ends": [2 * (n + 1) for n in range(len(ids))]}


def record_of(**details: dict[str, Any]) -> Record:
    """The first one is the baseline."""
    return build_record({n: {} for n in details}, quality={}, quality_runs={n: {"details": d} for n, d in details.items()})


def test_the_first_token_that_differs_is_found() -> None:
    answers = {"base": (0, 1, 2), "same": (0, 1, 2), "late": (0, 1, 9), "early": (7, 1, 2)}
    base, same, late, early = outputs(record_of(**{name: {"outputs": answer(*ids)} for name, ids in answers.items()}))
    assert [o.diverges_at for o in (base, same, late, early)] == [None, None, 2, 0]
    assert same.split(None) == ("a b c ", "")
    assert (late.split(2), base.split(2)) == (("a b ", "j "), ("a b ", "c "))
    assert early.split(0) == ("", "h b c ")


@pytest.mark.parametrize(("details", "problem"), [
    ({}, "its quality run kept no answer"), ({"outputs": {"not_measured": "no memory"}}, "no memory"),
    ({"outputs": {"ids": "x"}}, "not readable"), ({"outputs": answer(1) | {"ends": []}}, "not readable"), ({"outputs": 5}, "not readable"),
])  # fmt: skip
def test_without_an_answer_there_is_a_reason(details: dict[str, Any], problem: str) -> None:
    base, other = outputs(record_of(base={"outputs": answer(0)}, other=details))
    assert base.answer is not None and other.answer is None
    assert problem in (other.problem or "") and other.diverges_at is None


def test_without_the_baselines_answer_nothing_is_compared() -> None:
    base, other = outputs(record_of(base={}, other={"outputs": answer(0)}))
    assert base.answer is None and other.answer is not None and other.diverges_at is None


def test_no_quality_run_and_random_weights_are_reasons() -> None:
    record = build_record({"base": {}})
    assert outputs(record)[0].problem == "there is no quality run of it, and that is what answers"
    record["experiment"]["spec"]["model"] = {"source": "shape", "name": "gpt2"}
    assert outputs(record)[0].problem == RANDOM_WEIGHTS
    failed = build_record({"base": {}}, quality={}, quality_runs={"base": {"status": "out_of_memory"}})
    assert outputs(failed)[0].problem == "its quality run: out of memory"
