"""`engine run` with a database: a live scheduler that has such a device does it, else this machine, else it is refused at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine

from db import liveness, queries, queue
from engine import api
from engine.devices import Device, find_device, local_devices
from engine.follow import devices_of_live_schedulers, run_queued
from engine.presets import parse_spec

GPU = Device("cuda:0", "cuda", "a GPU", "there", 8 * 2**30, (8, 0), "GPU-1")


@pytest.fixture(autouse=True)
def no_gpu_here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr("engine.follow._SILENT_SECONDS", 2.0)
    local_devices.cache_clear()
    yield
    local_devices.cache_clear()


def announce(db: Engine) -> None:
    liveness.announce(db, "remote", machine="there", pid=1, devices=[GPU.to_json()], availability=api.availability([GPU]))


@pytest.fixture
def remote(db: Engine) -> Iterator[None]:
    """A scheduler on another machine: it beats, and ends what it claims as unsupported."""
    announce(db)
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            liveness.beat_scheduler(db, "remote")
            if claim := queue.claim(db, "remote", queue.Offer(GPU.key, (GPU.kind, GPU.id, GPU.key))):
                queue.finish(
                    db, claim, status="unsupported", reason="a stand-in", measurements=[], evidence={}, details={}, environment=None,
                    host_peak_bytes=None, log_tail=None, seconds=1.0,
                )  # fmt: skip
            time.sleep(0.05)

    thread = threading.Thread(target=work)
    thread.start()
    yield
    stop.set()
    thread.join()


def spec(device: str) -> Any:
    return parse_spec({"title": "t", "model": "tiny-llama", "rounds": 1, "device": device})


def refuse(text: str) -> None:
    pytest.fail(f"not to be called: {text}")


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "there/cuda:0"])
def test_a_device_that_nobody_has_is_refused_and_nothing_is_queued(db: Engine, device: str) -> None:
    with pytest.raises(ValueError, match=f"device: '{device}' is not on this machine .here: cpu"):
        run_queued(db, spec(device), refuse, refuse)
    assert queries.count_experiments(db) == 0


def test_a_scheduler_that_stands_still_is_not_counted_on(db: Engine) -> None:
    announce(db)
    with pytest.raises(ValueError, match="device: 'cuda' is not on this machine"):
        run_queued(db, spec("cuda"), refuse, refuse)
    assert queries.count_experiments(db) == 0


@pytest.mark.usefixtures("remote")
def test_a_live_scheduler_elsewhere_does_it(db: Engine) -> None:
    assert devices_of_live_schedulers(db) == [GPU]
    announced: list[str] = []
    experiment = run_queued(db, spec("cuda"), announced.append, lambda text: None)
    record = queries.record(db, experiment)
    assert record is not None and announced == [experiment]
    assert [(r["status"], r["device"]) for r in record["runs"]] == [("unsupported", "there/cuda:0")]


@pytest.mark.usefixtures("remote")
def test_a_live_scheduler_without_such_a_device_is_not_waited_for(db: Engine) -> None:
    experiment = run_queued(db, spec("cpu"), lambda text: None, lambda text: None)
    record = queries.record(db, experiment)
    assert record is not None
    assert [(r["status"], r["device"]) for r in record["runs"]] == [("succeeded", find_device("cpu").key)]
