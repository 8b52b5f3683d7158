"""What one machine of a cluster does for a scheduler elsewhere: holds its devices, runs children on them, says how they are.

The same children and locks as on a machine that serves itself. Knows nothing of the database, of the queue, nor of how it is reached.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine import api, artifacts, caches, disk, settings
from engine.child_process import adopt_orphans
from engine.devices import Device, local_devices
from engine.executor import Executor, LocalExecutor
from engine.locks import DeviceLock
from engine.measurement import RunResult, Status
from engine.run_spec import RunSpec, at_home


@dataclass(frozen=True)
class Look:
    """How a run is, in what a scheduler asks of an executor. trace: the compressed Chrome trace, once, with the result."""

    phase: str | None
    log_tail: str
    result: RunResult | None = None
    trace: bytes | None = None


class Node:
    """When its process ends, the kernel ends its children. Methods belong to the main thread."""

    def __init__(self, executor: Executor | None = None, devices: tuple[Device, ...] | None = None) -> None:
        self._executor = executor or LocalExecutor()
        self._devices = {d.id: d for d in devices or local_devices()}
        self._locks = {name: DeviceLock(device) for name, device in self._devices.items()}
        self._live: dict[str, Any] = {}
        self._ended: dict[str, Look] = {}

    def describe(self) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Its devices as JSON, and by device what each technique lacks here."""
        return [d.to_json() for d in self._devices.values()], api.availability(list(self._devices.values()))

    def take(self, device_id: str, purpose: str) -> str:
        """Hold a device for the run to come: ''; else who has it, and our place is kept until `release`."""
        lock = self._locks[device_id]
        return "" if lock.try_acquire(purpose) else lock.in_use_by()

    def release(self, device_id: str) -> None:
        self._locks[device_id].release()

    def start(self, run: str, spec: dict[str, Any], device_id: str, owner: str) -> None:
        """Begin a run on a device that is held. What is wrong with it is its result."""
        try:
            settings.runs_dir().mkdir(parents=True, exist_ok=True)
            disk.require_for_a_run(settings.runs_dir())
            wanted = at_home(RunSpec.model_validate(spec), self._devices[device_id])
            folder = settings.runs_dir() / run
            self._live[run] = self._executor.start(
                wanted, folder, device=self._devices[device_id], keep_fds=self._locks[device_id].filenos(), owner=owner
            )
        except Exception as error:  # whatever it is must reach the scheduler, and must not end the node
            self._ended[run] = Look(None, "", RunResult(Status.FAILED, disk.named(f"could not start: {type(error).__name__}: {error}")))

    def look(self) -> dict[str, Look]:
        """All runs that have not been forgotten."""
        for run, handle in list(self._live.items()):
            if (result := self._executor.poll(handle)) is not None:
                del self._live[run]
                self._ended[run] = Look(None, self._executor.log_tail(handle), result, artifacts.local_trace(result.details))
        live = {run: Look(self._executor.read_progress(h), self._executor.log_tail(h)) for run, h in self._live.items()}
        return live | self._ended

    def kill(self, run: str) -> None:
        if run in self._live:
            self._executor.kill(self._live[run])

    def forget(self, run: str) -> None:
        """Its result has arrived."""
        self._ended.pop(run, None)


class OwnNode(Node):
    """In a process of its own, which takes in what its children leave behind."""

    def __init__(self) -> None:
        adopt_orphans()
        caches.keep_within(settings.cache_limit())
        super().__init__()
