"""Energy per token by a stand-in of NVML on a clock of its own: idle subtracted, the counter's steps waited for, failures said."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine import energy
from engine.devices import Device
from engine.energy import Energy
from engine.measurement import Status
from engine.meter import Meter
from engine.technique import Ranks

GPU = Device("cuda:0", "cuda", "a GPU", "here", 2**37, (9, 0), "GPU-a")
METRIC, POINT = "energy_joules_per_token", {"batch": 2}
IDLE, BUSY, STEP = 50.0, 300.0, 0.1


class NVMLError(Exception):
    """As in the real library: the base of all of its errors."""


class Machine:
    """GPUs whose counters go up with a clock that only this test moves. updates: seconds between two steps of a counter."""

    def __init__(self) -> None:
        self.time = self.work = 0.0
        self.updates, self.broken, self.asked = STEP, False, list[str]()
        self.gain = BUSY - IDLE

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def busy(self, seconds: float) -> None:
        """Work, seen by the counter when it steps next."""
        self.work += seconds * self.gain
        self.time += seconds

    def read(self, handle: str) -> int:
        if self.broken:
            raise NVMLError("Not Supported")
        at = self.time if self.updates == 0 else self.time // self.updates * self.updates
        return round(1000 * (IDLE * at + self.work))

    def handle(self, uuid: str) -> str:
        self.asked.append(uuid)
        if uuid not in ("GPU-a", "GPU-b"):
            raise NVMLError("Not Found")
        return uuid


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    module: Any = types.ModuleType("pynvml")
    module.NVMLError, module.nvmlInit = NVMLError, lambda: None
    module.nvmlDeviceGetHandleByUUID, module.nvmlDeviceGetTotalEnergyConsumption = made.handle, made.read
    monkeypatch.setitem(sys.modules, "pynvml", module)
    monkeypatch.setattr(energy.time, "sleep", made.sleep)
    return made


@pytest.fixture
def start(machine: Machine, tmp_path: Path) -> Callable[..., tuple[Energy, Meter]]:
    def started(device: Device = GPU, ranks: int = 1) -> tuple[Energy, Meter]:
        meter = Meter(tmp_path, "cpu")  # no CUDA to wait for
        meter.clock = lambda: machine.time
        session: Any = SimpleNamespace(device=device, ranks=Ranks(0, ranks))
        return Energy(session, meter), meter

    return started


def test_joules_above_idle_are_divided_by_the_tokens(start: Callable[..., tuple[Energy, Meter]], machine: Machine) -> None:
    watched, meter = start()
    watched.record(METRIC, lambda: machine.busy(0.3), 10, POINT)
    (found,) = meter.recorded
    assert found.metric == METRIC and found.point == POINT
    # 0.3 s at 250 W above idle for 10 tokens; a pass of 4 calls is the first to last a second
    assert found.value == pytest.approx(0.3 * (BUSY - IDLE) / 10, rel=0.01)
    assert meter.details["energy"] == {"idle_watts": pytest.approx(IDLE, rel=0.01)}
    assert machine.asked == ["GPU-a"], "by UUID: an index counts GPUs that this process may not use"


def test_idle_is_measured_once_for_all_points(start: Callable[..., tuple[Energy, Meter]], machine: Machine) -> None:
    watched, meter = start()
    watched.record(METRIC, lambda: machine.busy(2.0), 1, POINT)
    before = machine.time
    watched.record(METRIC, lambda: machine.busy(2.0), 1, {"batch": 4})
    assert machine.time - before < 2.0 + 3 * STEP
    assert [m.value for m in meter.recorded] == pytest.approx([2 * (BUSY - IDLE)] * 2, rel=0.01)


def test_the_counters_of_several_gpus_are_added_up(start: Callable[..., tuple[Energy, Meter]], machine: Machine) -> None:
    two = Device("cuda:all", "cuda", "2 x G", "here", 2**38, uuid="GPU-a,GPU-b", members=("cuda:0", "cuda:1"))
    watched, meter = start(two)
    watched.record(METRIC, lambda: machine.busy(1.0), 1, POINT)
    assert meter.recorded[0].value == pytest.approx(2 * (BUSY - IDLE), rel=0.01)
    assert machine.asked == ["GPU-a", "GPU-b"]


@pytest.mark.parametrize(("fault", "reason"), [
    ({"updates": 1e9}, "NVML's energy counter: it has not moved for 1 s"),
    ({"gain": 0.0}, "NVML's energy counter: 4 calls took no more than idling does, 50 W"),
])  # fmt: skip
def test_a_counter_that_cannot_be_used_is_a_row_with_its_reason(
    start: Callable[..., tuple[Energy, Meter]], machine: Machine, fault: dict[str, Any], reason: str
) -> None:
    watched, meter = start()
    vars(machine).update(fault)
    watched.record(METRIC, lambda: machine.busy(0.3), 1, POINT)
    (found,) = meter.recorded
    assert (found.status, found.value, found.reason) == (Status.NOT_MEASURED, None, reason)


def test_a_driver_that_fails_in_between_costs_the_number_alone(start: Callable[..., tuple[Energy, Meter]], machine: Machine) -> None:
    watched, meter = start()

    def work() -> None:
        machine.busy(1.0)
        machine.broken = True

    watched.record(METRIC, work, 1, POINT)
    assert meter.recorded[0].reason == "NVML's energy counter: Not Supported"


@pytest.mark.parametrize(("device", "ranks", "reason"), [
    (Device("cpu", "cpu", "a CPU", "here", 2**34), 1, "only GPUs have a counter"),
    (Device("cuda:0", "cuda", "a GPU", "here", 2**34), 1, "no UUID"),
    (Device("cuda:0", "cuda", "a GPU", "here", 2**34, uuid="MIG-1"), 1, "cannot be read: Not Found"),
    (GPU, 2, "several processes share the run"),
])  # fmt: skip
def test_where_there_is_no_counter_the_details_say_why(start: Callable[..., tuple[Energy, Meter]], device: Device, ranks: int, reason: str) -> None:
    watched, meter = start(device, ranks)
    assert reason in meter.details["energy"]["not_measured"] and not watched.usable
    watched.record(METRIC, lambda: pytest.fail("it must not run the work for nothing"), 1, POINT)
    assert meter.recorded == []


def test_a_gpu_without_the_counter_says_so(start: Callable[..., tuple[Energy, Meter]], machine: Machine) -> None:
    machine.broken = True
    assert start()[1].details["energy"] == {"not_measured": "NVML's energy counter cannot be read: Not Supported"}


def test_without_the_library_the_package_is_named(start: Callable[..., tuple[Energy, Meter]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert start()[1].details["energy"] == {"not_measured": "the package nvidia-ml-py is not installed"}
