"""What the advisor can be asked: every mistake names its field and the fix."""

from __future__ import annotations

from typing import Any

import pytest

from engine.answers.question import Question, bytes_of, fits, fraction_of, point_of


@pytest.mark.parametrize(("text", "value"), [("24GB", 24e9), ("24 GiB", 24 * 2**30), (".5mb", 5e5), ("1.5TB", 1.5e12), ("10B", 10.0), ("2KiB", 2048.0)])
def test_bytes_are_read_with_their_unit(text: str, value: float) -> None:
    assert bytes_of(text) == value


@pytest.mark.parametrize("text", ["24", "", "GB", "-1GB", "1e9B", "24 parsecs", "24%", "1.2.3GB", "٣GB"])
def test_what_is_no_amount_of_bytes_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="^max-memory: .*24GB"):
        bytes_of(text)


@pytest.mark.parametrize(("text", "value"), [("1%", 0.01), ("0.5 %", 0.005), ("0%", 0.0), ("150%", 1.5)])
def test_a_loss_is_read_in_percent(text: str, value: float) -> None:
    assert fraction_of(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["1", "0.01", "one%", "-1%", "1GB"])
def test_a_loss_without_its_sign_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="^max-quality-loss: .*%"):
        fraction_of(text)


def test_a_point_is_what_it_must_have() -> None:
    pairs = point_of(" batch=8, new_tokens = 24 ,")
    assert pairs == (("batch", "8"), ("new_tokens", "24"))
    assert fits({"batch": 8, "new_tokens": 24, "prompt_tokens": 1}, pairs)
    assert not fits({"batch": 8, "new_tokens": 240}, pairs) and not fits({}, pairs)


@pytest.mark.parametrize("text", ["", ",", "batch", "batch=", "=8", "batch=8,x"])
def test_what_is_no_point_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="^point: .*batch=8"):
        point_of(text)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"objective": "fastest"}, "objective: 'fastest' is not one of speed, decode, ttft"),
        ({"memory": "perplexity"}, "memory: 'perplexity' is no memory metric"),
        ({"memory": "total_parameters"}, "memory: 'total_parameters' is no memory metric"),
        ({"max_memory_bytes": 0.0}, "max-memory: 0.0 is not above 0"),
        ({"min_speed": -1.0}, "min-speed: -1.0 is not above 0"),
        ({"min_speed": float("nan")}, "min-speed: nan is not above 0"),
        ({"max_quality_loss": -0.1}, "max-quality-loss: -0.1 is below 0"),
        ({"max_quality_loss": float("inf")}, "max-quality-loss: inf"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Question(**wrong)
