"""Points from small to large: a point without room is a result, what is larger in everything is not tried, the rest is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.measurement import Point, Status
from engine.meter import Meter
from engine.points import measure_points

GRID = [{"batch": b, "tokens": t} for b in (1, 2, 4) for t in (8, 16, 32)]


@pytest.mark.case("T16")
def test_only_what_could_fit_is_tried(tmp_path: Path) -> None:
    meter, tried = Meter(tmp_path, "cpu"), []

    def measure(point: Point) -> None:
        tried.append((point["batch"], point["tokens"]))
        if point["batch"] * point["tokens"] >= 64:  # type: ignore[operator]
            raise torch.OutOfMemoryError("no room\nat all")
        meter.record("forward_seconds", [1.0], point)

    measure_points(meter, ("forward_seconds", "examples_per_second"), GRID, measure)
    assert tried == [(1, 8), (1, 16), (1, 32), (2, 8), (2, 16), (2, 32), (4, 8), (4, 16)]
    found = {(m.point["batch"], m.point["tokens"]): m for m in meter.recorded if m.metric == "forward_seconds"}
    assert [key for key, m in found.items() if m.status is Status.SUCCEEDED] == [(1, 8), (1, 16), (1, 32), (2, 8), (2, 16), (4, 8)]
    assert found[2, 32].reason == "batch 2, tokens 32: no room" and found[4, 16].reason == "batch 4, tokens 16: no room"
    assert found[4, 32].reason == "not tried: batch 2, tokens 32 did not fit"
    lost = [m for m in meter.recorded if m.metric == "examples_per_second"]
    assert {m.status for m in lost} == {Status.OUT_OF_MEMORY} and len(lost) == 3, "every metric says why it is missing"


def test_other_errors_are_raised(tmp_path: Path) -> None:
    def broken(point: Point) -> None:
        raise RuntimeError("CUDA error: an illegal memory access")

    with pytest.raises(RuntimeError, match="illegal memory access"):
        measure_points(Meter(tmp_path, "cpu"), ("forward_seconds",), GRID, broken)
    assert not (tmp_path / "results.jsonl").exists()


def test_an_error_without_words_still_has_a_reason(tmp_path: Path) -> None:
    def full(point: Point) -> None:
        raise MemoryError

    meter = Meter(tmp_path, "cpu")
    measure_points(meter, ("forward_seconds",), GRID[:1], full)
    assert meter.recorded[0].reason == "batch 1, tokens 8: MemoryError"
