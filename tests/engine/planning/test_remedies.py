"""What the end of a run means and what to try: each end that is known, with the words that programs really leave."""

from __future__ import annotations

import pytest

from engine.planning.changes import CHANGES
from engine.planning.remedies import remedy


@pytest.mark.parametrize(("status", "reason", "headline", "change"), [
    ("out_of_memory", "cuda: tried to allocate 20 GiB", "It did not fit into memory", "smaller"),
    ("timed_out", "time limit of 3600 s", "It took longer than its time limit", "longer"),
    ("failed", "lost: no sign of life from its scheduler for 30 s", "Its process or machine went away", "failed"),
    ("failed", "signal 11: Segmentation fault", "The process was ended from outside", "failed"),
    ("failed", "OSError: You are trying to access a gated repo.", "The model is gated", None),
    ("failed", "RuntimeError: CUDA error: no kernel image is available for execution on the device", "CUDA, driver and GPU do not fit together", None),
    ("failed", "not applied: no layer of the model is a Linear4bit", "The technique had no effect", None),
    ("failed", "perplexity: the model's answer is not a number", "The model answers no numbers", None),
    ("cancelled", "cancelled before it began", "It was cancelled", "failed"),
    ("failed", "KeyError: 'x'", "It failed", "failed"),
    ("failed", None, "It failed", "failed"),
])  # fmt: skip
def test_each_end_has_a_headline_and_a_way_on(status: str, reason: str | None, headline: str, change: str | None) -> None:
    found = remedy(status, reason)
    assert (found.headline, found.change) == (headline, change)
    assert found.advice and (change is None or change in CHANGES)


@pytest.mark.parametrize(("reason", "command"), [
    ("onnxruntime: needs the onnx environment: python -m engine.environments onnx", ".venv/bin/python -m engine.environments onnx"),
    ("needs torchao and hqq: pip install torchao hqq", ".venv/bin/python -m pip install torchao hqq"),
    ("dataset: boolq has not been fetched; run: python -m engine.bundled boolq", ".venv/bin/python -m engine.bundled boolq"),
])  # fmt: skip
def test_what_is_missing_comes_with_the_command_that_gets_it(reason: str, command: str) -> None:
    assert remedy("unsupported", reason).command == command


def test_the_reasons_of_the_techniques_that_lack_packages_are_among_them() -> None:
    from engine.environments import ENVIRONMENTS

    for environment in ENVIRONMENTS.values():
        if (reason := environment.missing(())) is not None:
            assert remedy("unsupported", reason).command == f".venv/bin/{environment.install_command}"
