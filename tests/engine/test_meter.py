"""The sink of all numbers: a point has one row per metric, and the GPU's clock never costs a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.measurement import Measurement, Status
from engine.meter import Meter


class FakeEvent:
    """Stands for torch.cuda.Event; `log` says in what order things happened."""

    log: list[str]

    def __init__(self, *, enable_timing: bool) -> None:
        assert enable_timing

    def record(self) -> None:
        self.log.append("record")

    def synchronize(self) -> None:
        self.log.append("synchronize")

    def elapsed_time(self, end: FakeEvent) -> float:
        return 250.0


class LostEvent(FakeEvent):
    def elapsed_time(self, end: FakeEvent) -> float:
        raise RuntimeError("device not ready\nmore")


def on_gpu(tmp_path: Path, event: type[FakeEvent], monkeypatch: pytest.MonkeyPatch) -> tuple[Meter, list[str]]:
    event.log = []
    monkeypatch.setattr(torch.cuda, "Event", event)
    return Meter(tmp_path, "cuda"), event.log


def test_failure_adds_only_what_is_missing_at_its_point(tmp_path: Path) -> None:
    meter = Meter(tmp_path, "cpu")
    meter.record("ttft_seconds", [1.0], {"batch": 1})
    meter.record_failure(("ttft_seconds", "kv_cache_bytes"), {"batch": 1}, Status.OUT_OF_MEMORY, "no room")
    meter.record_failure(("ttft_seconds",), {"batch": 2}, Status.OUT_OF_MEMORY, "no room")
    rows = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert [(r["metric"], r["point"]["batch"], r["status"]) for r in rows] == [
        ("ttft_seconds", 1, "succeeded"), ("kv_cache_bytes", 1, "out_of_memory"), ("ttft_seconds", 2, "out_of_memory"),
    ]  # fmt: skip


def test_a_call_between_two_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meter, log = on_gpu(tmp_path, FakeEvent, monkeypatch)

    def call() -> str:
        log.append("call")
        return "result"

    assert meter.device_seconds(call) == (0.25, "result")
    assert log == ["record", "call", "record", "synchronize"]


def test_a_lost_event_costs_the_reading_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meter, _ = on_gpu(tmp_path, LostEvent, monkeypatch)
    assert meter.device_seconds(lambda: "result") == (None, "result")
    assert meter.details == {"device_seconds_not_measured": "device not ready"}


def test_what_the_call_raises_is_never_swallowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meter, _ = on_gpu(tmp_path, FakeEvent, monkeypatch)

    def call() -> Any:
        raise RuntimeError("CUDA error: an illegal memory access")

    with pytest.raises(RuntimeError, match="illegal memory access"):
        meter.device_seconds(call)


def test_a_cpu_has_no_events(tmp_path: Path) -> None:
    assert Meter(tmp_path, "cpu").device_seconds(lambda: 7) == (None, 7)


def test_what_the_counters_miss_is_not_measured_and_says_why(tmp_path: Path) -> None:
    meter = Meter(tmp_path, "cpu", unseen_memory="it has memory of its own")
    peaks, result = meter.peak_of(lambda: "result")
    meter.record_peaks(peaks, {"batch": 1})
    assert result == "result"
    (row,) = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert (row["metric"], row["point"], row["status"]) == ("peak_memory_bytes", {"batch": 1}, "not measured")
    assert (row["reason"], row["value"], row["samples"]) == ("it has memory of its own", None, [])
    assert Measurement.from_json(row).status is Status.NOT_MEASURED


def test_what_the_counters_see_is_a_number(tmp_path: Path) -> None:
    meter = Meter(tmp_path, "cpu")
    meter.record_peaks({"peak_memory_bytes": 7, "reserved_memory_bytes": 9}, {"batch": 1})
    assert {m.metric: m.value for m in meter.recorded} == {"peak_memory_bytes": 7, "reserved_memory_bytes": 9}
