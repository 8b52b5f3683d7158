"""Every point is measured; the embeddings' cosine equals an independent computation."""

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
from engine.registry import discover
from engine.specs import RunKind
from tests.experiments.workloads.conftest import Run, spec_of

OPTIONS = {"batch_sizes": [2, 1], "sequence_lengths": [8, 32], "repeats": 2, "warmups": 1, "sentences": 12}


def test_points_and_fidelity_end_to_end(run_all: Callable[[object], Record]) -> None:
    record = run_all(spec_of("local:tiny-bert", "encoder_forward", "bnb_4bit", "float16", **OPTIONS))
    assert {(r["status"], r["reason"]) for r in record["runs"]} == {("succeeded", None)}
    found = rows(record)
    forward = [r for r in found if r.variant == "bnb_4bit" and r.metric == "forward_seconds"]
    assert [r.point for r in forward] == [{"batch": b, "tokens": t} for t in (8, 32) for b in (1, 2)]
    assert {r.metric for r in found} >= {"examples_per_second", "weight_bytes", "peak_memory_bytes", "embedding_cosine"}
    cosine = {r.variant: r for r in found if r.metric == "embedding_cosine"}
    assert set(cosine) == {"bnb_4bit", "float16"}, "the baseline's to itself says nothing"
    assert cosine["bnb_4bit"].value < cosine["float16"].value <= 1.0000001
    assert cosine["bnb_4bit"].value > 0.8 and cosine["float16"].value > 0.9999
    assert all(r.verdict == "fidelity" for r in cosine.values())
    assert not {"perplexity", "accuracy"} & {r.metric for r in found}


def test_cosine_equals_an_independent_one(run: Run, tiny_models: Path) -> None:
    result = run(spec_of("local:tiny-bert", "encoder_forward", "bnb_4bit", **OPTIONS), 1, RunKind.QUALITY)
    found = next(m for m in result.measurements if m.metric == "embedding_cosine")
    import torch

    workload = discover().workload("encoder_forward", OPTIONS)
    nowhere = tiny_models / "no-texts"
    stacks = ([], [discover().technique("bnb_4bit")])
    model = ModelSpec(source="local", name="tiny-bert")
    base, other = (load_session(model, s, find_device("cpu"), 0, tiny_models, tiny_models, nowhere, discover().workload("encoder_forward")) for s in stacks)
    cosines = []
    for sentence in workload._sentences(nowhere):  # type: ignore[attr-defined]
        inputs = base.tokenizer(sentence, return_tensors="pt", truncation=True, max_length=128).input_ids
        with torch.no_grad():
            a, b = (s.model(inputs).last_hidden_state.mean(1)[0].float() for s in (base, other))
        cosines.append((a @ b / a.norm() / b.norm()).item())
    assert len(found.samples) == 12
    assert list(found.samples) == pytest.approx(cosines, abs=1e-4)
    assert found.value == pytest.approx(sum(cosines) / 12, abs=1e-4)


def test_longer_than_the_model(run: Run) -> None:
    result = run(spec_of("local:tiny-bert", "encoder_forward", **OPTIONS | {"sequence_lengths": [600]}), 0, RunKind.SPEED)
    assert result.status is Status.FAILED
    assert "sequence_lengths: the model has 512 positions" in (result.reason or "")


def test_what_is_larger_than_what_did_not_fit_is_not_tried(tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from engine.meter import Meter
    from experiments.workloads import encoder_forward

    tried, real = set(), encoder_forward._hidden

    def hidden(session: object, ids: torch.Tensor) -> torch.Tensor:
        tried.add(tuple(ids.shape))
        if ids.numel() >= 32:
            raise torch.OutOfMemoryError("no room")
        return real(session, ids)  # type: ignore[arg-type]

    monkeypatch.setattr(encoder_forward, "_hidden", hidden)
    model = ModelSpec(source="local", name="tiny-bert")
    session = load_session(model, [], find_device("cpu"), 0, tiny_models, tiny_models, tiny_models, discover().workload("encoder_forward"))
    meter = Meter(tmp_path, "cpu")
    workload = encoder_forward.EncoderForward(batch_sizes=(1, 2, 4), sequence_lengths=(8, 16), repeats=1, warmups=1)
    workload.run(session, meter)
    assert tried == {(1, 8), (2, 8), (4, 8), (1, 16), (2, 16)}
    found = {(m.point["batch"], m.point["tokens"]): m for m in meter.recorded if m.metric == "forward_seconds"}
    assert found[4, 8].reason == "batch 4, tokens 8: no room" and found[2, 16].status is Status.OUT_OF_MEMORY
    assert found[4, 16].reason == "not tried: batch 4, tokens 8 did not fit" and found[1, 16].value
