"""Training throughput, fed a clock that is known: the tokens of all ranks over the time from their common start to the last end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from engine.devices import find_device
from engine.measurement import Measurement
from engine.meter import Meter
from engine.modelspec import ModelSpec
from engine.registry import discover
from engine.technique import ModelPlan, Ranks, Session
from engine.training import Training

WORKLOAD = discover().workload("training_step", {"seq_len": 16, "batch_sizes": [8], "accumulation": 2, "steps": 3, "warmups": 1})
TOKENS = 8 * 16 * 2
"""Of one step, over all ranks."""


class Clock:
    """Stands still but for what a step takes."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Timed(Training):
    """Trains nothing: each step takes the next of the known times, a quarter forward, half backward, a quarter in the optimizer."""

    def start(self) -> None:
        self.optimizer = torch.optim.SGD(self.forward.parameters())
        self.seen = 0

    def step(self, batches: Sequence[Any], marks: Any = None) -> Any:
        seconds = self.times.pop(0) if self.times else 0.0
        self.seen += sum(ids.numel() for ids in batches)
        for name, part in (("forward", 0.25), ("backward", 0.5), ("optimizer", 0.25)):
            self.clock.now += seconds * part
            if marks is not None:
                marks.mark(name)
        return torch.zeros(())

    clock: Clock
    times: list[float]
    seen: int


class Exchange:
    """Ranks that are threads of one process."""

    def __init__(self, count: int) -> None:
        self._values: list[Any] = [None] * count
        self._all_here = threading.Barrier(count, timeout=60)

    def of(self, rank: int) -> Callable[[Any], list[Any]]:
        def gather(value: Any) -> list[Any]:
            self._values[rank] = value
            self._all_here.wait()
            found = list(self._values)
            self._all_here.wait()
            return found

        return gather


def measured(tmp_path: Path, times: list[list[float]]) -> dict[str, Measurement]:
    """What the first of several ranks records. times: for each rank, the seconds of its warm-up and of its timed steps."""
    exchange = Exchange(len(times))

    def one(rank: int) -> dict[str, Measurement]:
        folder = tmp_path / str(rank)
        folder.mkdir()
        model: Any = torch.nn.Linear(2, 2)
        model.config = SimpleNamespace(vocab_size=300)
        training, meter = Timed(model, 0.1), Meter(folder, "cpu")
        training.clock, training.times, meter.clock = (clock := Clock()), list(times[rank]), clock
        session = Session(
            model, None, find_device("cpu"), ModelPlan("float32"), ModelSpec(source="shape", name="gpt2"), 0, tmp_path,
            workload=WORKLOAD, training=training, ranks=Ranks(rank, len(times), exchange.of(rank)),
        )  # fmt: skip
        WORKLOAD.run(session, meter)
        assert training.seen == 5 * TOKENS // len(times), "a warm-up, three timed steps, and one for memory"
        return {m.metric: m for m in meter.recorded}

    with ThreadPoolExecutor(len(times)) as pool:
        return next(iter(pool.map(one, range(len(times)))))


@pytest.fixture(autouse=True)
def _no_split(monkeypatch: pytest.MonkeyPatch) -> None:
    """What follows tensors through a step follows none here."""
    monkeypatch.setattr("engine.memory_split.split_peak", lambda *_: {})


def test_one_process(tmp_path: Path) -> None:
    found = measured(tmp_path, [[9.0, 1.0, 2.0, 3.0]])
    assert found["training_tokens_per_second"].value == 3 * TOKENS / 6.0
    assert found["training_tokens_per_second"].samples == (TOKENS / 1.0, TOKENS / 2.0, TOKENS / 3.0)
    assert found["step_seconds"].samples == (1.0, 2.0, 3.0) and found["step_seconds"].warmups == (9.0,)
    assert found["step_backward_seconds"].samples == (0.5, 1.0, 1.5)


def test_four_ranks_of_equal_speed_are_not_four_times_as_many_tokens(tmp_path: Path) -> None:
    found = measured(tmp_path, [[9.0, 1.0, 2.0, 3.0]] * 4)
    assert found["training_tokens_per_second"].value == 3 * TOKENS / 6.0, "the same tokens in the same time as one process"
    assert found["first_call_seconds"].value == 9.0


def test_four_ranks_wait_for_the_slowest(tmp_path: Path) -> None:
    found = measured(tmp_path, [[1.0, 1.0, 2.0, 3.0], [1.0, 2.0, 2.0, 2.0], [7.0, 0.5, 0.5, 8.0], [1.0, 1.0, 1.0, 1.0]])
    assert found["training_tokens_per_second"].value == 3 * TOKENS / 9.0, "the third rank ends last, after 9 s"
    assert found["step_seconds"].samples == (2.0, 2.0, 8.0) and found["step_seconds"].warmups == (7.0,)
    parts = [found[f"step_{part}_seconds"].samples for part in ("forward", "backward", "optimizer")]
    assert [sum(step) for step in zip(*parts, strict=True)] == [2.0, 2.0, 8.0]


def test_memory_is_the_largest_ranks_and_the_sum_of_all(tmp_path: Path) -> None:
    found = measured(tmp_path, [[1.0] * 4] * 2)
    largest, total = found["peak_memory_bytes"].value, found["peak_memory_all_ranks_bytes"].value
    assert largest is not None and total is not None and largest < total <= 2 * largest
