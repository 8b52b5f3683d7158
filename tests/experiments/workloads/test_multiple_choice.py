"""Scores equal a computation one token at a time, for every set; both accuracies are paired by question."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.analysis import rows
from engine.devices import find_device
from engine.loading import load_session
from engine.measurement import Status
from engine.modelspec import ModelSpec
from engine.record import Record
from engine.specs import RunKind
from engine.technique import Session
from experiments.workloads.harness_tasks import TASKS
from experiments.workloads.multiple_choice import MultipleChoice
from tests.experiments.workloads.conftest import Run, read, spec_of

OPTIONS = {"examples": 40, "timed_examples": 3}


QUESTIONS = [
    {"question": "the cat sat on", "passage": "the dog and the cat", "choices": ["the mat", "a log, and the dog sat too", "the mat", "", "dog"][:n],
     "label": 0}
    for n in (2, 3, 4, 5)
] + [{"question": "on", "passage": "the cat sat " * 400, "choices": ["the mat", "log", "cat", "dog", "sat"], "label": 0}]  # fmt: skip


@pytest.fixture(scope="module")
def llama(tiny_models: Path) -> Session:
    spec = ModelSpec(source="local", name="tiny-llama")
    return load_session(spec, [], find_device("cpu"), 0, tiny_models, tiny_models, tiny_models)


def log_likelihood(session: Session, context: str, choice: str) -> float:
    """One call for this choice alone, without padding, on at most what the model can see."""
    import torch

    start, tokens = len(session.tokenizer(context).input_ids), session.tokenizer(f"{context} {choice}").input_ids
    first = max(0, len(tokens) - 1 - session.model.config.max_position_embeddings)
    with torch.no_grad():
        logp = session.model(torch.tensor([tokens[first:-1]])).logits[0].log_softmax(-1)
    return sum(logp[i - 1 - first, tokens[i]].item() for i in range(start, len(tokens)))


@pytest.mark.parametrize("dataset", TASKS)
def test_the_log_likelihood_of_every_choice(dataset: str, llama: Session) -> None:
    workload = MultipleChoice(dataset=dataset)
    needed = {"commonsense_qa": 5, "logiqa": 4}.get(dataset, 2)
    for row in (q for q in QUESTIONS if len(q["choices"]) >= needed):
        by_hand = [log_likelihood(llama, workload.task.context(row), choice) for choice in workload.task.choices(row)]
        assert workload._scores(llama, row).tolist() == pytest.approx(by_hand, abs=1e-4)


def test_the_record_says_how_it_was_asked(texts: Path) -> None:
    protocol = MultipleChoice(dataset="piqa", examples=40).quality_protocol(texts)
    assert (protocol["task"], protocol["task_version"], protocol["prompt"]) == ("piqa", 1, "Question: {question}\nAnswer:")
    assert protocol["dataset"] == "piqa" and protocol["examples"] == 40


def test_accuracy_equals_a_computation_by_hand(run: Run, texts: Path, tiny_models: Path) -> None:
    result = run(spec_of("local:tiny-llama", "multiple_choice", **OPTIONS), 0, RunKind.QUALITY)
    assert result.status is Status.SUCCEEDED, result.reason
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(tiny_models / "tiny-llama").eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_models / "tiny-llama")

    def score(question: str, choice: str) -> float:
        """Each token of the choice after all that stands before it: no padding, no batch."""
        before = tokenizer(f"Question: {question}\nAnswer:").input_ids
        tokens = tokenizer(f"Question: {question}\nAnswer: {choice}").input_ids
        assert tokens[: len(before)] == before
        with torch.no_grad():
            return sum(model(torch.tensor([tokens[:i]])).logits[0, -1].log_softmax(-1)[tokens[i]].item() for i in range(len(before), len(tokens)))

    plain, normalized = [], []
    for row in read(texts / "piqa-validation.jsonl"):
        a, b = row["choices"]
        of_a, of_b = score(row["question"], a), score(row["question"], b)
        plain.append(float((of_b > of_a) == row["label"]))
        normalized.append(float((of_b / len(b) > of_a / len(a)) == row["label"]))
    found = {m.metric: m for m in result.measurements}
    assert list(found["accuracy"].samples) == plain
    assert list(found["accuracy_normalized"].samples) == normalized
    assert plain != normalized, "the lengths matter in this set"
    assert found["accuracy_normalized"].value == pytest.approx(sum(normalized) / 40)


def test_paired_with_the_baseline_end_to_end(run_all: Callable[[object], Record], texts: Path) -> None:
    record = run_all(spec_of("local:tiny-llama", "multiple_choice", "bnb_4bit", **OPTIONS))
    assert {(r["status"], r["reason"]) for r in record["runs"]} == {("succeeded", None)}
    found = {(r.variant, r.metric): r for r in rows(record)}
    for metric in ("accuracy", "accuracy_normalized"):
        assert found["bnb_4bit", metric].n_samples == 40
        assert found["bnb_4bit", metric].verdict in ("equivalent", "better", "worse", "no difference shown")
    assert 0.5 < found["bnb_4bit", "prediction_agreement"].value <= 1
    assert found["bnb_4bit", "seconds_per_example"].value > 0
    assert "perplexity" not in {r.metric for r in rows(record)}


def test_a_set_that_was_not_fetched_says_how(run: Run) -> None:
    result = run(spec_of("local:tiny-llama", "multiple_choice", **OPTIONS), 0, RunKind.SPEED)
    assert result.status is Status.FAILED
    assert "python -m engine.bundled piqa" in (result.reason or "")
