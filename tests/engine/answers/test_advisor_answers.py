"""The advisor's answers on the project's own results, against a script that reads the exported CSV and shares no code with it."""

from __future__ import annotations

from typing import Any

import pytest

from engine.answers.advice import Candidate, Group
from engine.answers.advisor import advise, read
from engine.answers.question import Question
from engine.bundle import load_bundle
from engine.export.files import Source, content
from engine.record import Record
from engine.settings import REPOSITORY
from tests.advisor_from_csv import Budget, answer, points

RECORDS = [load_bundle(p) for p in sorted((REPOSITORY / "experiments" / "reference").glob("*.json"))]
DECODE, TRAIN = "decode_tokens_per_second", "training_tokens_per_second"
PEAK = "peak_memory_bytes"
QUESTIONS = {
    "smollm2 on H100, 0.7 GB, 1 % perplexity, fastest decode": (
        Question("decode", max_memory_bytes=0.7e9, max_quality_loss=0.01, model="smollm2-135m", device="H100"),
        Budget(DECODE, DECODE, PEAK, 0.7e9, "perplexity", 0.01), "smollm2-135m", "H100",
    ),
    "llama-7b on H100, 8 GB, fastest decode": (
        Question("decode", max_memory_bytes=8e9, model="llama-7b", device="H100"), Budget(DECODE, DECODE, PEAK, 8e9), "llama-7b", "H100",
    ),
    "llama-7b on H100, 4.5 GB, lowest time to first token": (
        Question("ttft", max_memory_bytes=4.5e9, model="llama-7b", device="H100"), Budget("ttft_seconds", DECODE, PEAK, 4.5e9), "llama-7b", "H100",
    ),
    "classifier on a CPU, 30 MB of weights, 1 % accuracy, most examples": (
        Question("examples", memory="weight_bytes", max_memory_bytes=30e6, max_quality_loss=0.01, model="minilm-l6-reviews"),
        Budget("examples_per_second", "examples_per_second", "weight_bytes", 30e6, "accuracy", 0.01), "minilm-l6-reviews", "EPYC",
    ),
    "llama-7b on H200, 80 GB, fastest training": (
        Question("training", max_memory_bytes=80e9, model="llama-7b", device="H200"), Budget(TRAIN, TRAIN, PEAK, 80e9), "llama-7b", "H200",
    ),
    "smollm2 on H100, 3 % perplexity, smallest weights": (
        Question("memory", memory="weight_bytes", max_quality_loss=0.03, model="smollm2-135m", device="H100"),
        Budget("weight_bytes", DECODE, "weight_bytes", None, "perplexity", 0.03), "smollm2-135m", "H100",
    ),
}  # fmt: skip


def about(record: Record, model: str, device: str) -> bool:
    devices = {facts["device"] for facts in record["environments"].values()}
    return record["experiment"]["spec"]["model"]["name"] == model and any(device in d for d in devices)


def plainly(group: Group) -> dict[str, Any]:
    """A group in the words of the script."""

    def of(candidates: tuple[Candidate, ...], outcome: Any) -> dict[str, dict[str, float | None]]:
        return {c.variant: {check.constraint: check.by for check in c.failures(outcome)} for c in candidates}

    return {
        "ranked": [(p.candidate.variant, p.relation) for p in group.ranked],
        "failed": of(group.failed, "failed"),
        "not measured": {name: set(checks) for name, checks in of(group.not_measured, "not measured").items()},
    }


@pytest.mark.parametrize("name", QUESTIONS)
def test_the_advisor_and_a_script_on_the_csv_answer_alike(name: str) -> None:
    question, budget, model, device = QUESTIONS[name]
    advice = advise(question, [read(r) for r in RECORDS])
    advised = {(experiment, group.point): plainly(group) for group in advice.groups for experiment in group.experiments}
    assert all(len(group.experiments) == 1 for group in advice.groups), "the script answers for one experiment at a time"
    by_script = {}
    for record in RECORDS:
        if about(record, model, device):
            text = content("csv", Source(record)).decode()
            by_script |= {(record["experiment"]["id"], point): answer(text, budget, point) for point in points(text, budget)}
    assert advised == by_script
    assert any(a["ranked"] for a in advised.values()) and any(a["failed"] for a in advised.values()), "a question that asks nothing proves nothing"
    # every variant of every experiment is in exactly one of the lists
    sizes = {r["experiment"]["id"]: len(r["variants"]) for r in RECORDS}
    assert all(sum(map(len, a.values())) == sizes[experiment] for (experiment, _), a in advised.items())


def test_what_was_asked_on_the_h100_is_answered_as_it_was_measured() -> None:
    """One answer in figures, so that script and advisor cannot be wrong alike."""
    question = QUESTIONS["smollm2 on H100, 0.7 GB, 1 % perplexity, fastest decode"][0]
    advice = advise(question, [read(r) for r in RECORDS])
    (group,) = [g for g in advice.groups if g.point.startswith("batch=16")]
    assert plainly(group) == {
        "ranked": [("float16", "first"), ("bfloat16", "not distinguishable"), ("torchao_int8_weight_only", "not distinguishable")],
        "failed": {
            "float32": {"memory": 1426886656.0 - 0.7e9}, "bnb_int8": {"quality": pytest.approx(0.01525, abs=1e-4)},
            "bnb_nf4": {"quality": pytest.approx(0.2454, abs=1e-3)}, "bnb_nf4_double_quant": {"quality": pytest.approx(0.2461, abs=1e-3)},
            "float32 without KV cache": {"memory": 1107876352.0 - 0.7e9},
        },
        "not measured": {},
    }  # fmt: skip
    assert "for smollm2-135m (generation, batch=16, prompt_tokens=512, new_tokens=24): float16. Decode throughput 587 tok/s" in group.sentence()
    assert "Not distinguishable from it: bfloat16, torchao_int8_weight_only." in group.sentence()


def test_a_shape_is_never_recommended_under_a_quality_constraint() -> None:
    advice = advise(Question(max_quality_loss=0.5, model="llama-7b"), [read(r) for r in RECORDS])
    assert len(advice.groups) > 3 and not any(g.ranked for g in advice.groups)
    reasons = {check.text for g in advice.groups for c in g.not_measured for check in c.failures("not measured") if check.constraint == "quality"}
    assert reasons == {"perplexity is not measured (random weights)"}
