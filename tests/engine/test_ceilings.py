"""The ceilings of this machine, the type that they are measured in, and what is said where they cannot be had."""

from __future__ import annotations

import functools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from engine import ceilings
from engine.ceilings import MatrixProduct, compute_dtype, measure_ceilings
from engine.devices import Device, find_device
from engine.technique import ModelPlan, Ranks, Session
from engine.training import Training


def session(dtype: str = "float32", **changes: Any) -> Session:
    plan = ModelPlan(dtype=dtype, quantization=changes.pop("quantization", None))
    fields: dict[str, Any] = {"model": None, "tokenizer": None, "device": find_device("cpu"), "plan": plan, "spec": None, "seed": 0, "texts_dir": Path()}
    return Session(**(fields | changes))


def test_a_real_machine_has_ceilings() -> None:
    found = measure_ceilings(session())
    assert found["dtype"] == "float32"
    assert 1e8 < found["matrix_flops_per_second"] < 1e15
    assert 1e8 < found["copy_bytes_per_second"] < 1e13
    assert 1e-8 < found["launch_seconds"] < 1e-3


def test_a_rate_is_the_arithmetic_over_the_shortest_time() -> None:
    times = iter([9.0, 0.02, 0.01, 0.04])
    product = MatrixProduct("cpu", "float32", 8)
    assert product.rate(lambda call: next(times)) == 2 * 8**3 / 0.01, "the first call sets up and does not count"


def test_a_slow_type_is_not_measured_on_larger_matrices(monkeypatch: pytest.MonkeyPatch) -> None:
    sides: list[int] = []

    def seconds(call: Any, device: str) -> float:
        if isinstance(call, MatrixProduct):
            sides.append(call.side)
        return 1.0

    monkeypatch.setattr(ceilings, "_seconds", seconds)
    assert measure_ceilings(session())["matrix_flops_per_second"] == 2 * 256**3
    assert set(sides) == {256}


@pytest.mark.parametrize(("free", "reason"), [(1000, "no room for a matrix product"), (2**25, "no room for a copy")])
def test_without_room_the_reason_stands_in_their_place(monkeypatch: pytest.MonkeyPatch, free: int, reason: str) -> None:
    monkeypatch.setattr(ceilings, "free_bytes", lambda device: free)
    assert reason in measure_ceilings(session())["not_measured"]


def test_what_fails_there_is_a_reason_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **options: Any) -> None:
        raise RuntimeError("mm is not implemented for this type")

    monkeypatch.setattr(torch, "mm", broken)
    assert measure_ceilings(session()) == {"not_measured": "RuntimeError: mm is not implemented for this type"}


def test_of_several_processes_or_gpus_there_is_no_one_ceiling() -> None:
    both = Device("cuda:all", "cuda", "2 x G", "here", 2**34, uuid="GPU-a,GPU-b", members=("cuda:0", "cuda:1"))
    for shared in (session(ranks=Ranks(0, 2)), session(device=both)):
        assert "share the run" in measure_ceilings(shared)["not_measured"]


def test_the_type_is_the_one_that_products_are_computed_in() -> None:
    assert compute_dtype(session("float16")) == "float16"
    assert compute_dtype(session("float32", quantization=SimpleNamespace(bnb_4bit_compute_dtype=torch.bfloat16))) == "bfloat16"
    plain = Training(forward=None, learning_rate=1e-3)
    assert compute_dtype(session(training=plain)) == "float32"
    mixed = Training(forward=None, learning_rate=1e-3, autocast=functools.partial(torch.autocast, "cpu", torch.bfloat16))
    assert compute_dtype(session(training=mixed)) == "bfloat16"
