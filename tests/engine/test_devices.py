"""Which GPUs are listed: those of CUDA_VISIBLE_DEVICES, without one that the driver cannot read; the library is a stand-in."""

from __future__ import annotations

import json
import sys
import types
from typing import Any

import pytest

from engine.devices import Device, cuda_devices, find_device, local_devices


class NVMLError(Exception):
    """As in the real library: the base of all of its errors."""


@pytest.fixture(autouse=True)
def driver(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Three GPUs, GPU-a0, GPU-a1 and GPU-b2. broken: indices that cannot be read."""
    module: Any = types.ModuleType("pynvml")
    module.broken = set()
    module.NVMLError = NVMLError

    def handle(index: int) -> int:
        if index in module.broken:
            raise NVMLError("GPU is lost")
        return index

    module.nvmlInit = lambda: None
    module.nvmlDeviceGetCount = lambda: 3
    module.nvmlDeviceGetHandleByIndex = handle
    module.nvmlDeviceGetName = lambda h: f"GPU number {h}"
    module.nvmlDeviceGetMemoryInfo = lambda h: types.SimpleNamespace(total=2**33)
    module.nvmlDeviceGetCudaComputeCapability = lambda h: (9, 0)
    module.nvmlDeviceGetUUID = lambda h: ["GPU-a0", "GPU-a1", "GPU-b2"][h]
    monkeypatch.setitem(sys.modules, "pynvml", module)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    local_devices.cache_clear()
    yield module
    local_devices.cache_clear()


def ids() -> list[str]:
    return [d.id for d in cuda_devices()[0]]


def test_all_are_listed_where_nothing_is_said() -> None:
    found, left_out = cuda_devices()
    assert [(d.id, d.uuid, d.name) for d in found] == [
        ("cuda:0", "GPU-a0", "GPU number 0"), ("cuda:1", "GPU-a1", "GPU number 1"), ("cuda:2", "GPU-b2", "GPU number 2"),
    ]  # fmt: skip
    assert left_out == []


@pytest.mark.parametrize(("wanted", "listed"), [
    ("", []), ("-1", []), ("2", ["cuda:2"]), ("2,0", ["cuda:2", "cuda:0"]), (" 1 , 1", ["cuda:1"]),
    ("GPU-b2", ["cuda:2"]), ("GPU-b", ["cuda:2"]), ("GPU-a", []), ("1,7,0", ["cuda:1"]), ("NoDevFiles", []), ("MIG-1234", []),
])  # fmt: skip
def test_the_users_own_choice_is_kept(monkeypatch: pytest.MonkeyPatch, wanted: str, listed: list[str]) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", wanted)
    assert ids() == listed
    left_out = "\n".join(cuda_devices()[1])
    assert all(f"cuda:{i}: left out by CUDA_VISIBLE_DEVICES={wanted}" in left_out for i in range(3) if f"cuda:{i}" not in listed)


def test_a_chosen_gpu_keeps_its_name_and_is_the_one_that_a_child_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    (gpu,), _ = cuda_devices()
    assert gpu.id == "cuda:2" and gpu.child_environment() == {"CUDA_VISIBLE_DEVICES": "GPU-b2"}


def test_all_gpus_together_are_one_more_device_that_must_be_asked_for_by_name() -> None:
    *_, everything, cpu = local_devices()
    assert (everything.id, everything.gpus, everything.members) == ("cuda:all", 3, ("cuda:0", "cuda:1", "cuda:2"))
    assert everything.child_environment() == {"CUDA_VISIBLE_DEVICES": "GPU-a0,GPU-a1,GPU-b2"}
    assert everything.memory_bytes == 3 * 2**33 and everything.uuids == ["GPU-a0", "GPU-a1", "GPU-b2"]
    assert find_device("cuda").id == "cuda:0" and find_device("cuda:all") is everything
    assert Device.from_json(json.loads(json.dumps(everything.to_json()))) == everything
    assert cpu.gpus == 1 and not cpu.members


@pytest.mark.parametrize(("visible", "together"), [("2", None), ("", None), ("2,0", ("cuda:2", "cuda:0"))])
def test_only_what_may_be_used_is_put_together(monkeypatch: pytest.MonkeyPatch, visible: str, together: tuple[str, ...] | None) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    found = {d.id: d for d in local_devices()}
    assert ("cuda:all" in found) == (together is not None)
    if together:
        assert found["cuda:all"].members == together


def test_a_wrong_entry_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,x")
    assert cuda_devices()[1][0] == "CUDA_VISIBLE_DEVICES: 'x' is not a GPU here, so it and what follows is left out"


def test_one_gpu_that_cannot_be_read_is_left_out_with_its_reason(driver: Any) -> None:
    driver.broken = {1}
    assert ids() == ["cuda:0", "cuda:2"]
    assert cuda_devices()[1] == ["cuda:1: left out, the driver cannot read it (GPU is lost)"]


def test_no_driver_is_an_ordinary_machine_and_a_fault_of_ours_is_not_hidden(driver: Any) -> None:
    def fail(error: Exception) -> Any:
        def init() -> None:
            raise error

        return init

    driver.nvmlInit = fail(NVMLError("library not found"))
    assert cuda_devices() == ([], ["GPUs: none found (library not found)"])
    driver.nvmlInit = fail(TypeError("ours"))
    with pytest.raises(TypeError):
        cuda_devices()


def test_the_doctor_says_why(driver: Any) -> None:
    from engine.doctor import examine, lines

    driver.broken = {0}
    report = examine()
    assert "device    cuda:0: left out, the driver cannot read it (GPU is lost)" in lines(report)
    assert "data set  boolq: boolq has not been fetched; run: python -m engine.bundled boolq" in lines(report)
