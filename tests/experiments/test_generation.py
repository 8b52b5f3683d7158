"""Generation on a tiny model in this process: what a point measured before it failed stands, once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.devices import find_device
from engine.loading import load_session
from engine.measurement import Status
from engine.meter import Meter
from engine.modelspec import ModelSpec
from engine.quality import QualityReference
from engine.technique import Session
from experiments.workloads.generation import Generation

SMALL = Generation(prompt_tokens=16, new_tokens=(4,), repeats=2, max_warmups=1)
TIMED = {"ttft_seconds", "inter_token_latency_seconds", "prefill_tokens_per_second", "decode_tokens_per_second", "generation_seconds"}


class NoRoomForMemoryPass(Generation):
    """Its memory pass, and no other, asks for more than there is."""

    def generate(self, session: Session, ids: Any, new_tokens: int, **extra: Any) -> Any:
        if "return_dict_in_generate" in extra:
            torch.empty(2**50)
        return super().generate(session, ids, new_tokens, **extra)


class NoRoomForLong(Generation):
    """Two sequences of more than 4 new tokens do not fit."""

    def generate(self, session: Session, ids: Any, new_tokens: int, **extra: Any) -> Any:
        if len(ids) * new_tokens > 8:
            raise torch.OutOfMemoryError("no room")
        return super().generate(session, ids, new_tokens, **extra)


@pytest.fixture
def session(tiny_model_root: Path) -> Session:
    model = ModelSpec(source="local", name="tiny")
    return load_session(model, [], find_device("cpu"), 0, tiny_model_root, tiny_model_root, tiny_model_root)


def test_out_of_memory_after_the_timed_pass_keeps_what_it_timed(session: Session, tmp_path: Path) -> None:
    meter = Meter(tmp_path, "cpu")
    NoRoomForMemoryPass(**SMALL.model_dump()).run(session, meter)
    assert set(Counter(m.metric for m in meter.recorded).values()) == {1}, "one row for a metric at a point"
    by_name = {m.metric: m for m in meter.recorded}
    assert all(by_name[name].status is Status.SUCCEEDED and by_name[name].value for name in TIMED)
    for name in ("kv_cache_bytes", "peak_memory_bytes"):
        assert by_name[name].status is Status.OUT_OF_MEMORY
        assert "can't allocate memory" in (by_name[name].reason or "")


def test_the_gpu_clock_stands_beside_the_wall_clock(session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meter = Meter(tmp_path, "cpu")
    monkeypatch.setattr(meter, "device_seconds", lambda call: (0.25, call()))
    SMALL.run(session, meter)
    (clocks,) = meter.details["clocks"]
    assert (clocks["batch"], clocks["new_tokens"], clocks["device_seconds"]) == (1, 4, [0.25, 0.25])
    ttft, itl = ({m.metric: m for m in meter.recorded}[f"{name}_seconds"].samples for name in ("ttft", "inter_token_latency"))
    assert clocks["wall_seconds"] == pytest.approx([t + 3 * i for t, i in zip(ttft, itl, strict=True)])


def test_a_cpu_has_no_second_clock(session: Session, tmp_path: Path) -> None:
    meter = Meter(tmp_path, "cpu")
    SMALL.run(session, meter)
    assert "clocks" not in meter.details


def test_the_run_counts_the_operators_of_a_token_and_says_that_a_cpu_counts_no_energy(session: Session, tmp_path: Path) -> None:
    meter = Meter(tmp_path, "cpu")
    SMALL.run(session, meter)
    assert "only GPUs" in meter.details["energy"]["not_measured"]
    # two layers of at least two norms, seven products, an attention and an activation each
    assert 20 < meter.details["operators_per_token"] < 1000
    assert not {m.metric for m in meter.recorded} & {"energy_joules_per_token"}


def test_a_compiled_model_is_not_watched(session: Session, tmp_path: Path) -> None:
    session.compile_seconds = lambda: 1.0
    meter = Meter(tmp_path, "cpu")
    SMALL.run(session, meter)
    assert not {"operators_per_token", "operators_not_counted"} & meter.details.keys()


class NoRoomForAnswers(Generation):
    """One sequence of more than 8 new tokens does not fit."""

    def generate(self, session: Session, ids: Any, new_tokens: int, **extra: Any) -> Any:
        if new_tokens > 8:
            raise torch.OutOfMemoryError("no room")
        return super().generate(session, ids, new_tokens, **extra)


def quality_of(workload: Generation, session: Session, folder: Path) -> dict[str, Any]:
    meter = Meter(folder, "cpu")
    workload.measure_quality(session, meter, QualityReference(folder / "artifacts", {}, is_baseline=True))
    return meter.details["outputs"]  # type: ignore[no-any-return]


def test_the_quality_run_keeps_the_start_of_an_answer(session: Session, tmp_path: Path) -> None:
    workload = Generation(prompt_tokens=16, new_tokens=(4, 96), quality_tokens=256, quality_context=128)
    found = quality_of(workload, session, tmp_path)
    prompt = workload.prompts(session, 1)
    assert found["ids"] == workload.generate(session, prompt, 64)[0, 16:].tolist(), "64 of the 96, greedy"
    assert found["text"] == session.tokenizer.decode(found["ids"])
    assert len(found["ends"]) == 64 and found["ends"] == sorted(found["ends"]) and found["ends"][-1] == len(found["text"])
    assert session.tokenizer.decode(prompt[0]).endswith(found["prompt"])
    short = quality_of(workload.model_copy(update={"new_tokens": (4,)}), session, tmp_path)
    assert short["ids"] == found["ids"][:4], "no more than the workload generates"


def test_an_answer_without_room_costs_nothing_else(session: Session, tmp_path: Path) -> None:
    workload = NoRoomForAnswers(prompt_tokens=16, new_tokens=(16,), quality_tokens=256, quality_context=128)
    assert quality_of(workload, session, tmp_path) == {"not_measured": "OutOfMemoryError: no room"}


def test_every_length_is_a_point_and_the_whole_call_is_timed(session: Session, tmp_path: Path) -> None:
    meter = Meter(tmp_path, "cpu")
    Generation(prompt_tokens=16, new_tokens=(8, 2), batch_sizes=(2, 1), repeats=2, max_warmups=0).run(session, meter)
    found = {(m.metric, m.point["batch"], m.point["new_tokens"]): m for m in meter.recorded if m.metric in TIMED | {"kv_cache_bytes"}}
    assert [key[1:] for key in found if key[0] == "generation_seconds"] == [(1, 2), (1, 8), (2, 2), (2, 8)]
    for batch, new in ((1, 2), (2, 8)):
        whole, ttft, itl = (found[f"{n}_seconds", batch, new].samples for n in ("generation", "ttft", "inter_token_latency"))
        assert len(whole) == 2
        assert list(whole) == pytest.approx([t + (new - 1) * i for t, i in zip(ttft, itl, strict=True)])
        # layers, keys and values, heads, size of a head, bytes
        assert found["kv_cache_bytes", batch, new].value == batch * (16 + new - 1) * 2 * 2 * 2 * 16 * 4
    assert len(found["generation_seconds", 1, 2].warmups) == 1, "the first call is always kept apart"
    assert [m.point["new_tokens"] for m in meter.recorded if m.metric == "first_call_seconds"] == [2]


def test_a_length_without_room_leaves_the_shorter_ones(session: Session, tmp_path: Path) -> None:
    meter = Meter(tmp_path, "cpu")
    NoRoomForLong(prompt_tokens=16, new_tokens=(2, 4, 8, 16), batch_sizes=(1, 2), repeats=1, max_warmups=0).run(session, meter)
    found = {(m.point["batch"], m.point["new_tokens"]): m for m in meter.recorded if m.metric == "generation_seconds"}
    assert [key for key, m in found.items() if m.status is Status.SUCCEEDED] == [(1, 2), (1, 4), (1, 8), (2, 2), (2, 4)]
    assert found[1, 16].reason == "batch 1, prompt tokens 16, new tokens 16: no room"
    assert found[2, 8].reason == "batch 2, prompt tokens 16, new tokens 8: no room"
    assert found[2, 16].reason == "not tried: batch 1, prompt tokens 16, new tokens 16 did not fit"


def test_one_length_may_be_a_plain_number() -> None:
    assert Generation(new_tokens=32) == Generation(new_tokens=(32,))  # type: ignore[arg-type]
    assert Generation(new_tokens=[64, 16, 64]).new_tokens == (16, 64)  # type: ignore[arg-type]
    assert Generation(prompt_tokens=100, new_tokens=(16, 2000), quality_tokens=0).positions_needed() == 2100
    with pytest.raises(ValueError, match="new_tokens.0"):
        Generation(new_tokens=1)  # type: ignore[arg-type]
