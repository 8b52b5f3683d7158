"""The prompts are the harness's, character by character; every set that can be chosen has one."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from experiments.workloads.harness_tasks import TASKS
from experiments.workloads.multiple_choice import MultipleChoice

QUESTION: dict[str, Any] = {"question": "Where {is} it?", "passage": "It is here.", "choices": ["here ", "there", "far", "near", "gone"], "label": 0}
FOUR = QUESTION | {"choices": QUESTION["choices"][:4]}
LIST = "A. here \nB. there\nC. far\nD. near\n"


@pytest.mark.parametrize(("name", "row", "context", "choices"), [
    ("piqa", FOUR, "Question: Where {is} it?\nAnswer:", FOUR["choices"]),
    ("boolq", FOUR | {"question": "is it", "choices": ["no", "yes"]}, "It is here.\nQuestion: is it?\nAnswer:", ["no", "yes"]),
    ("commonsense_qa", QUESTION, f"Question: Where {{is}} it?\n{LIST}E. gone\nAnswer:", list("ABCDE")),
    ("social_iqa", FOUR, "Q: It is here. Where {is} it?\nA:", FOUR["choices"]),
    ("openbookqa", FOUR, "Where {is} it?", FOUR["choices"]),
    ("logiqa", FOUR, f"Passage: It is here.\nQuestion: Where {{is}} it?\nChoices:\n{LIST}Answer:", FOUR["choices"]),
])  # fmt: skip
def test_prompts_and_what_is_scored(name: str, row: dict[str, Any], context: str, choices: list[str]) -> None:
    assert TASKS[name].context(row) == context
    assert TASKS[name].choices(row) == choices


def test_every_set_has_a_task() -> None:
    assert set(get_args(MultipleChoice.model_fields["dataset"].annotation)) == set(TASKS)
