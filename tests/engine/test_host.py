"""What is not here as it was when a record was made: device, packages, Python; without torch."""

from __future__ import annotations

import importlib.metadata
import platform
from typing import Any

from engine.comparability import in_words
from engine.devices import Device, cpu_name, usable_cpus
from engine.host import unlike

CPU = Device("cpu", "cpu", "AMD EPYC", "here", 2**34)
H200 = Device("cuda:0", "cuda", "NVIDIA H200", "there", 2**37, (9, 0), "GPU-1")


def recorded(**changes: Any) -> dict[str, Any]:
    torch = importlib.metadata.version("torch")
    base = {"device": "AMD EPYC", "device_kind": "cpu", "cpu": cpu_name(), "cpus": usable_cpus(), "python": platform.python_version(),
            "packages": {"torch": torch}, "driver": "580.1", "machine": "elsewhere"}  # fmt: skip
    return base | changes


def test_the_same_machine_differs_in_nothing() -> None:
    assert unlike(recorded(), [CPU]) == []


def test_another_device_and_another_package_are_named_as_they_are_here() -> None:
    found = unlike(recorded(device="NVIDIA H200", device_kind="cuda", packages={"torch": "2.11.0", "no-such-package": "1"}), [CPU])
    words = in_words(found)
    assert "device AMD EPYC instead of NVIDIA H200" in words and "instead of 2.11.0" in words
    assert "no-such-package not installed instead of 1" in words


def test_the_device_of_the_same_name_is_compared_where_one_is_offered() -> None:
    facts = recorded(device="NVIDIA H200", device_kind="cuda")
    assert unlike(facts, [CPU, H200]) == []
    assert "device none instead of NVIDIA H200" in in_words(unlike(facts, []))


def test_what_was_not_recorded_is_no_difference() -> None:
    assert unlike({"device": "AMD EPYC", "device_kind": "cpu"}, [CPU]) == []
