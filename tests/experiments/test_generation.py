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
from engine.technique import Session
from experiments.workloads.generation import Generation

SMALL = Generation(prompt_tokens=16, new_tokens=4, repeats=2, max_warmups=1)
TIMED = {"ttft_seconds", "inter_token_latency_seconds", "prefill_tokens_per_second", "decode_tokens_per_second"}


class NoRoomForMemoryPass(Generation):
    """Its memory pass, and no other, asks for more than there is."""

    def generate(self, session: Session, ids: Any, **extra: Any) -> Any:
        if "return_dict_in_generate" in extra:
            torch.empty(2**50)
        return super().generate(session, ids, **extra)


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
    assert (clocks["batch"], clocks["device_seconds"]) == (1, [0.25, 0.25])
    ttft, itl = ({m.metric: m for m in meter.recorded}[f"{name}_seconds"].samples for name in ("ttft", "inter_token_latency"))
    assert clocks["wall_seconds"] == pytest.approx([t + 3 * i for t, i in zip(ttft, itl, strict=True)])


def test_a_cpu_has_no_second_clock(session: Session, tmp_path: Path) -> None:
    meter = Meter(tmp_path, "cpu")
    SMALL.run(session, meter)
    assert meter.details == {}
