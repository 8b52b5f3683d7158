"""What went on beside a run: a GPU that was shared at any time is contended, and a silent driver costs no run."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest
import torch

from engine.devices import Device, find_device
from engine.environment import Surroundings

GPU = Device("cuda:0", "cuda", "a GPU", "here", 2**37, (9, 0), "GPU-0")


class Driver:
    """Stands for NVML; a test sets what it reports next."""

    processes: int | None = 0
    reasons = 0
    slow_nanoseconds: int | None = None

    def counters(self, handle: object, fields: list[int]) -> list[Any]:
        """The second of three counts; no driver counts the others."""
        codes = [pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.NVML_SUCCESS if self.slow_nanoseconds is not None else 1, pynvml.NVML_ERROR_NOT_SUPPORTED]
        return [SimpleNamespace(nvmlReturn=code, value=SimpleNamespace(ullVal=self.slow_nanoseconds)) for code in codes[: len(fields)]]

    def list_processes(self, handle: object) -> list[Any]:
        if self.processes is None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        # numbers of another namespace: none of them is ours
        return [object()] * self.processes


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    found = Driver()
    for name, answer in {
        "nvmlInit": lambda: None,
        "nvmlDeviceGetHandleByUUID": lambda uuid: uuid,
        "nvmlDeviceGetClockInfo": lambda handle, which: 1980,
        "nvmlDeviceGetTemperature": lambda handle, which: 40,
        "nvmlDeviceGetPowerUsage": lambda handle: 120_000,
        "nvmlDeviceGetCurrentClocksEventReasons": lambda handle: found.reasons,
        "nvmlDeviceGetComputeRunningProcesses": found.list_processes,
        "nvmlDeviceGetFieldValues": found.counters,
    }.items():
        monkeypatch.setattr(pynvml, name, answer)
    return found


@pytest.mark.parametrize(
    ("before", "after", "contended"),
    [
        (0, 1, None),
        (0, 0, None),  # a container where the driver lists nobody
        (None, None, None),
        (1, 1, "1 other process on the GPU before the run"),
        (0, 3, "2 other processes on the GPU after the run"),
        (2, 2, "2 other processes on the GPU before the run, 1 other process on the GPU after the run"),
    ],
)
@pytest.mark.case("T13")
def test_contended_if_either_reading_saw_others(
    before: int | None, after: int | None, contended: str | None, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver.processes = before
    surroundings = Surroundings(GPU)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)  # from here on this process is one of them
    driver.processes = after
    facts = surroundings.facts()
    assert facts.get("contended") == contended
    json.dumps(facts, allow_nan=False)


def test_one_process_is_foreign_if_cuda_never_started_here(driver: Driver) -> None:
    surroundings = Surroundings(GPU)
    driver.processes = 1
    assert surroundings.facts()["contended"] == "1 other process on the GPU after the run"


def test_clocks_and_throttle_reasons_are_read_before_and_after(driver: Driver) -> None:
    driver.reasons = 0x1
    surroundings = Surroundings(GPU)
    driver.reasons = 0x4 | 0x40 | 0x4000
    facts = surroundings.facts()
    assert facts["gpu_before"]["throttled_by"] == ["idle"]
    assert facts["gpu_after"]["throttle_reasons"] == 0x4044
    assert facts["gpu_after"]["throttled_by"] == ["power limit", "too hot (hardware)", "0x4000"]
    assert facts["gpu_before"]["sm_clock_mhz"] == 1980 and facts["gpu_after"]["power_watts"] == 120


@pytest.mark.parametrize(("before", "after", "throttled"), [
    (0x1, 0x0, None),
    (0x1, 0x4 | 0x2 | 0x10, None),  # at its power limit, with clocks that somebody set: this is how fast this device is
    (0x1, 0x4 | 0x40, "GPU too hot (hardware) after the run"),
    (0x20, 0x8 | 0x80, "GPU too hot (driver) before the run, hardware slowdown after the run, power brake after the run"),
])  # fmt: skip
def test_heat_and_the_power_brake_throttle_and_the_power_limit_does_not(before: int, after: int, throttled: str | None, driver: Driver) -> None:
    driver.reasons = before
    surroundings = Surroundings(GPU)
    driver.reasons = after
    assert surroundings.facts().get("throttled") == throttled


@pytest.mark.parametrize(("share", "throttled"), [(0.5, True), (0.005, False), (0.0, False)])
def test_a_slowdown_between_the_readings_is_found_by_the_drivers_own_count(
    share: float, throttled: bool, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver.slow_nanoseconds = 7 * 10**9  # of earlier days
    surroundings = Surroundings(GPU)
    monkeypatch.setattr(surroundings, "_began", surroundings._began - 100)  # the run took 100 s
    driver.slow_nanoseconds += int(share * 100e9)
    facts = surroundings.facts()
    assert facts["gpu_after"]["slowdown_seconds"] == {"too hot (hardware)": 7 + 100 * share}
    assert facts.get("throttled") == ("GPU too hot (hardware) for 50 s of the run" if throttled else None)


def test_what_the_driver_does_not_tell_is_said(driver: Driver) -> None:
    driver.processes = None
    facts = Surroundings(GPU).facts()
    assert facts["gpu_after"]["foreign_processes"].startswith("not measured: ")
    assert facts["gpu_after"]["temperature_celsius"] == 40


def test_no_driver_at_all_costs_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_DRIVER_NOT_LOADED)

    monkeypatch.setattr(pynvml, "nvmlInit", absent)
    facts = Surroundings(GPU).facts()
    assert "not_measured" in facts["gpu_before"] and "contended" not in facts


def test_a_cpu_run_has_no_gpu_facts() -> None:
    assert not {"gpu_before", "gpu_after", "contended"} & set(Surroundings(find_device("cpu")).facts())
