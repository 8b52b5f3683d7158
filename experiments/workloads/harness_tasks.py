"""How lm-evaluation-harness 0.4.13 words its multiple-choice tasks, on the rows that engine/bundled_sets.py makes.

Owns the prompts and what is scored after them; knows no model. Any change here makes numbers that compare with no other.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class HarnessTask:
    """name, version: the task's in the harness; None where it states no version. prompt: a format of a row's fields.

    letters: A, B, C stand for the choices, which the prompt lists; else the choices themselves are scored.
    """

    name: str
    version: int | None
    prompt: str
    letters: bool = False

    def context(self, row: dict[str, Any]) -> str:
        return self.prompt.format(**row)

    def choices(self, row: dict[str, Any]) -> list[str]:
        """What is scored, in the order of the row's choices."""
        return list(string.ascii_uppercase[: len(row["choices"])]) if self.letters else list(row["choices"])


TASKS = {
    "piqa": HarnessTask("piqa", 1, "Question: {question}\nAnswer:"),
    "boolq": HarnessTask("boolq", 2, "{passage}\nQuestion: {question}?\nAnswer:"),
    "commonsense_qa": HarnessTask(
        "commonsense_qa", None, "Question: {question}\n"
        "A. {choices[0]}\nB. {choices[1]}\nC. {choices[2]}\nD. {choices[3]}\nE. {choices[4]}\nAnswer:", letters=True,
    ),
    "social_iqa": HarnessTask("social_iqa", 0, "Q: {passage} {question}\nA:"),
    "openbookqa": HarnessTask("openbookqa", 1, "{question}"),
    "logiqa": HarnessTask(
        "logiqa", 1, "Passage: {passage}\nQuestion: {question}\nChoices:\n"
        "A. {choices[0]}\nB. {choices[1]}\nC. {choices[2]}\nD. {choices[3]}\nAnswer:",
    ),
}  # fmt: skip
