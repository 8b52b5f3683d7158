"""What the variants answer to the same prompt, and the token at which each leaves the baseline's answer. Reads a record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, ValidationError

from engine.record import Record

RANDOM_WEIGHTS = "a shape has random weights, which answer nothing"


class Answer(BaseModel):
    """The start of a greedy answer: tokens, text, and for each token where its text ends. prompt: the end of what was asked."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    prompt: str
    ids: tuple[int, ...]
    text: str
    ends: tuple[int, ...]


@dataclass(frozen=True)
class Output:
    """What one variant answers, or why there is nothing to show.

    diverges_at: index of the first token that is not the baseline's; None where all are equal, or one of the two has no answer.
    """

    variant: str
    baseline: bool
    answer: Answer | None
    problem: str | None
    diverges_at: int | None = None

    def split(self, at: int | None) -> tuple[str, str]:
        """The text before a token, by its index, and the rest; None: all of it, and nothing."""
        assert self.answer is not None
        end = len(self.answer.text) if at is None else self.answer.ends[at - 1] if at else 0
        return self.answer.text[:end], self.answer.text[end:]


def outputs(record: Record) -> list[Output]:
    """One for each variant, in order."""
    return together([(variant["name"], variant["baseline"], answer_of(record, i)) for i, variant in enumerate(record["variants"])])


def together(found: Sequence[tuple[str, bool, Answer | str]]) -> list[Output]:
    """Of (name, whether it is the baseline, its answer or why there is none), of one or several experiments: what they are to the first
    baseline among them. Answers to different prompts have no first token that differs."""
    base = next(answer for _, baseline, answer in found if baseline)
    return [Output(name, baseline, *_split(answer), diverges_at=_divergence(base, answer)) for name, baseline, answer in found]


def _split(found: Answer | str) -> tuple[Answer | None, str | None]:
    return (None, found) if isinstance(found, str) else (found, None)


def _divergence(base: Answer | str, answer: Answer | str) -> int | None:
    if isinstance(base, str) or isinstance(answer, str) or base.prompt != answer.prompt:
        return None
    pairs = zip(base.ids, answer.ids, strict=False)
    return next((index for index, (a, b) in enumerate(pairs) if a != b), None)


def answer_of(record: Record, position: int) -> Answer | str:
    """What a variant answers, or why there is nothing to show."""
    if record["experiment"]["spec"]["model"]["source"] == "shape":
        return RANDOM_WEIGHTS
    runs = [r for r in record["runs"] if r["variant"] == position and r["kind"] == "quality"]
    if not runs:
        return "there is no quality run of it, and that is what answers"
    found = (runs[-1]["details"] or {}).get("outputs")
    if found is None:
        ended = runs[-1]["status"]
        return "its quality run kept no answer" if ended == "succeeded" else f"its quality run: {ended.replace('_', ' ')}"
    if isinstance(found, dict) and "not_measured" in found:
        return str(found["not_measured"])
    try:
        answer = Answer.model_validate(found)
    except ValidationError:
        return "not readable by this version"
    return answer if len(answer.ids) == len(answer.ends) else "not readable by this version"
