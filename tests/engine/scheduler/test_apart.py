"""CPU and GPU runs of one machine are never measured at once, and neither kind waits for ever."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from db import queue
from engine.devices import Device
from engine.locks import DeviceLock
from tests.engine.processes import CPU
from tests.engine.scheduler.lab import enqueue, executions, in_process, rows, statuses

GPUS = [Device(f"cuda:{i}", "cuda", "a GPU", CPU.machine, 2**30) for i in range(2)]


def live_kinds(db: Engine) -> Iterator[list[str]]:
    """The kinds of device of the runs that were live together, at every begin and end."""
    kinds = {f"{row.id}.1": row.device.partition("/")[2].partition(":")[0] for row in rows(db)}
    live: list[str] = []
    for name, what in executions():
        if what == "ended":
            live.remove(name)
        else:
            live.append(name)
        yield [kinds[n] for n in live]


def test_cpu_and_gpu_runs_alternate_and_gpus_run_together(db: Engine) -> None:
    for _ in GPUS:
        enqueue(db, "sleep-0.4", rounds=4, device="cuda")
    enqueue(db, "sleep-0.4", rounds=2, device="cpu")
    in_process(db, devices=[*GPUS, CPU]).run_forever(lambda: not {"queued", "running"} & set(statuses(db)))
    assert set(statuses(db)) == {"succeeded"}
    together = list(live_kinds(db))
    assert {tuple(sorted(kinds)) for kinds in together} == {(), ("cpu",), ("cuda",), ("cuda", "cuda")}
    first_cpu = together.index(["cpu"])
    assert any("cuda" in kinds for kinds in together[first_cpu:]), "the CPU run did not wait until no GPU run was left"


def test_a_run_on_all_gpus_gets_its_turn_and_has_them_alone(db: Engine) -> None:
    both = Device("cuda:all", "cuda", "2 GPUs", CPU.machine, 2**31, members=tuple(gpu.id for gpu in GPUS))
    for _ in GPUS:
        enqueue(db, "sleep-0.3", rounds=4, device="cuda")
    enqueue(db, "sleep-0.3", device="cuda:all")
    in_process(db, devices=[*GPUS, both]).run_forever(lambda: not {"queued", "running"} & set(statuses(db)))
    assert set(statuses(db)) == {"succeeded"}
    events = [(name, "ended" if what == "ended" else "began") for name, what in executions()]
    began = events.index(("9.1", "began"))
    assert events[began + 1] == ("9.1", "ended"), "nothing begins or ends beside it"
    assert sum(what == "began" for _, what in events[:began]) == sum(what == "ended" for _, what in events[:began])
    assert any(what == "began" for _, what in events[began + 2 :]), "it did not wait until no other run was left"


def test_a_device_without_work_holds_up_no_other(db: Engine) -> None:
    """The idle CPU must not take the turn: while one GPU is busy for long, the other goes on with its queue."""
    enqueue(db, "sleep-8", device="cuda")
    enqueue(db, "sleep-0.1", rounds=3, device="cuda")
    in_process(db, devices=[CPU, *GPUS]).run_forever(lambda: not {"queued", "running"} & set(statuses(db)))
    assert [name for name, what in executions() if what == "ended"] == ["2.1", "3.1", "4.1", "1.1"]


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_waiting_device_gives_its_place_up_when_there_is_nothing_to_wait_for(db: Engine, cancelled: bool) -> None:
    """Its run is cancelled, or its scheduler is stopped, while somebody else measures on a GPU."""
    gpu, other = DeviceLock(GPUS[0]), DeviceLock(GPUS[1])
    assert gpu.try_acquire()
    experiment = enqueue(db, "normal", device="cpu")
    loops = 0

    def stop() -> bool:
        nonlocal loops
        loops += 1
        if loops == 20:
            assert not other.try_acquire(), "the CPU run waits for its turn"
            other.release()
            if cancelled:
                queue.cancel_experiment(db, experiment)
        if loops == 40 and cancelled:
            assert other.try_acquire()
            other.release()
        return loops == 40

    in_process(db, devices=[CPU]).run_forever(stop)
    assert other.try_acquire()
    other.release()
    gpu.release()
    assert executions() == []
