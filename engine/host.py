"""The facts of this machine that a record's environment also has, read without torch, and what differs: a warning before one measures again.

The fingerprint of a run itself is engine/environment.py, in the child.
"""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from typing import Any

from engine.comparability import Difference, of_facts
from engine.devices import Device, cpu_name, usable_cpus


def unlike(recorded: Mapping[str, Any], devices: Sequence[Device]) -> list[Difference]:
    """What is not as it was when the environment was recorded: Difference.a is here, b is the record's. The device of the same name is
    compared where one is offered, else one of the same kind."""
    own = _facts(_nearest(recorded, devices), recorded.get("packages") or {})
    both = own.keys() & recorded.keys()
    return of_facts({key: own[key] for key in both}, {key: recorded[key] for key in both})


def _nearest(recorded: Mapping[str, Any], devices: Sequence[Device]) -> Device | None:
    order = sorted(devices, key=lambda d: (d.name != recorded.get("device"), d.kind != recorded.get("device_kind")))
    return order[0] if order else None


def _facts(device: Device | None, packages: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {"device": device.name if device else "none", "python": platform.python_version(), "packages": {}}
    for name in packages:
        try:
            found["packages"][name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found["packages"][name] = "not installed"
    if device is not None and device.kind == "cpu":
        found |= {"cpu": cpu_name(), "cpus": usable_cpus()}
    return found
