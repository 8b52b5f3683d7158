"""When an experiment may end early: the schedule, what is an answer, and that looking often makes no verdict less sure."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from engine.analysis import Row, rows
from engine.looks import answered
from engine.measurement import Status
from engine.presets import parse_spec
from engine.specs import looks
from tests.records import build_record

STEADY = [1.0, 1.001, 0.999, 1.0, 1.002]
NOISY = [1.0, 1.4, 0.7, 1.2, 0.8]


def early(fast: list[Any], rounds: int = 20, base: list[Any] | None = None, again: list[float] | None = None, **metrics: list[Any]) -> dict[str, Any]:
    variants = {"base": {"decode_tokens_per_second": base or [10.0] * len(fast)}, "fast": {"decode_tokens_per_second": fast} | metrics}
    record = build_record(variants if again is None else variants | {"base, again": {"decode_tokens_per_second": again}})
    record["experiment"]["spec"] |= {"rounds": rounds, "stop_early": True, "control": again is not None}
    return record


def test_the_schedule_of_looks() -> None:
    assert looks(20) == (5, 10, 15, 20)
    assert looks(12) == (5, 10, 12)
    assert looks(5) == (5,) and looks(3) == (3,)


def test_without_a_look_before_the_last_round_there_is_nothing_to_stop() -> None:
    with pytest.raises(ValueError, match="stop_early: the first look is after round 5; ask for more than 5 rounds"):
        parse_spec({"title": "t", "model": "smollm2-135m", "rounds": 5, "stop_early": True})


def test_an_answer_at_a_look_ends_it() -> None:
    assert answered(early([20 * x for x in STEADY])) == 5  # better
    assert answered(early([10 * x for x in STEADY])) == 5  # equivalent
    assert answered(early([20 * x for x in STEADY] * 2)) == 10
    assert answered(early([Status.OUT_OF_MEMORY] * 5)) == 5
    assert answered(early([20 * x for x in STEADY], base=[Status.OUT_OF_MEMORY] * 5)) == 5, "nothing can be compared, ever"


def test_it_goes_on_without_one() -> None:
    assert answered(early([10 * x for x in NOISY])) is None
    assert answered(early([20 * x for x in STEADY[:4]])) is None, "four rounds are no look"
    assert answered(early([20 * x for x in STEADY] + [20.0])) is None, "six are none either"
    assert answered(early([20 * x for x in STEADY], rounds=5)) is None, "it has all of its rounds"
    assert answered(early([20 * x for x in STEADY], ttft_seconds=[*NOISY[:2], None, None, None])) is None, "another speed decides too"
    partly = early([20 * x for x in STEADY])
    partly["runs"][-1] |= {"status": "running", "measurements": []}
    assert answered(partly) is None
    plain = early([20 * x for x in STEADY])
    plain["experiment"]["spec"]["stop_early"] = False
    assert answered(plain) is None


def test_a_load_time_that_varies_decides_nothing() -> None:
    assert answered(early([20 * x for x in STEADY], load_seconds=NOISY)) == 5


def test_runs_that_are_still_queued_are_no_rounds() -> None:
    record = early([20 * x for x in STEADY])
    record["runs"] += [run | {"round": 5, "status": "queued", "measurements": []} for run in record["runs"][:2]]
    assert answered(record) == 5


def test_a_control_needs_no_answer_but_must_not_differ() -> None:
    assert answered(early([20 * x for x in STEADY], again=[10 * x for x in NOISY])) == 5
    assert answered(early([20 * x for x in STEADY], again=[11 * x for x in STEADY])) is None


def _row(record: dict[str, Any]) -> Row:
    return next(r for r in rows(record) if (r.variant, r.metric) == ("fast", "decode_tokens_per_second"))


def test_interval_and_p_are_those_of_one_look_of_all_that_are_planned() -> None:
    # log-ratios 1, 2, 3: estimate 2, s = 1; of two looks the interval has 97.5 %: t(0.9875, 2) = 6.205347, half-width 3.582659
    logs = [1.0, 2.0, 3.0]
    row = _row(early([10 * math.exp(x) for x in logs], rounds=10))
    assert (row.ci_low, row.ci_high) == pytest.approx((math.exp(2 - 3.582659), math.exp(2 + 3.582659)), rel=1e-5)
    # log-ratios with mean 0.1 and s = 0.072: t = 3.106 on 4 degrees of freedom, p = 0.036; twice that is not below 5 %
    close = [10 * math.exp(0.1 + 0.072 * z) for z in (-1, 1, -1, 1, 0)]
    plain = early(close)
    plain["experiment"]["spec"]["stop_early"] = False
    assert _row(plain).verdict == "better" and _row(early(close, rounds=10)).verdict == "no difference shown"


def test_looking_four_times_keeps_the_error_at_five_percent() -> None:
    """A/A with 5 % noise: each experiment ends at its first answer. Four looks at 5 % each would be wrong in about 12 %."""
    random, wrong, stopped = np.random.default_rng(0), 0, 0
    for _ in range(150):
        fast = (10 * np.exp(random.normal(0, 0.05, 20))).tolist()
        for look in looks(20):
            record = early(fast[:look])
            if look == 20 or answered(record) is not None:
                wrong += _row(record).verdict in ("better", "worse")
                stopped += look < 20
                break
    assert wrong <= 14 and stopped > 0
