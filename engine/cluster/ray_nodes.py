"""The machines of a Ray cluster as a scheduler sees them: their devices, their locks, and an executor that runs children there.

On each machine that offers itself, one actor holds a Node for as long as it is served. It reserves the machine's GPUs from Ray for that
time, so that no other job computes there between two rounds, and every round of an experiment finds the same device. Ray places,
notices deaths and frees; the database stays the system of record, and machines need no access to it. Ray's habit of running again what
died is switched off: a run is executed at most once. Nothing here waits long for a machine: answers are picked up when they have come.
"""

from __future__ import annotations

import logging
import re
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine import artifacts
from engine.cluster.node import Look, Node
from engine.devices import Device
from engine.measurement import RunResult, Status
from engine.run_spec import RunSpec

OFFERED = "tradeoff_lab"
"""Custom resource of the machines that may be used: one, so that two schedulers do not share a machine."""

_EXIT_TYPE = re.compile(r"exit type: (\w+)")
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 0.5
"""How long the devices of a machine are waited for in one turn; a machine that is busy otherwise is asked again."""
SILENT_SECONDS = 120.0
"""A machine that has not answered for so long is given up; starting a run takes it the seconds of an import."""


def connect(address: str) -> Any:
    """Ray, connected. Raises ValueError where it is not installed or nothing answers."""
    try:
        import ray
    except ImportError:
        raise ValueError("RAY_ADDRESS: the package ray is not installed; python -m pip install -r requirements-ray.txt") from None
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"RAY_ADDRESS: {address!r} is not HOST:PORT")
    try:  # Ray itself would try for minutes
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ValueError(f"RAY_ADDRESS: nothing answers at {address} ({error}); start a node there: python -m engine node") from None
    try:
        ray.init(address=address, namespace="tradeoff-lab", log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # of many kinds: no such host, another version, a token that is not theirs
        raise ValueError(f"RAY_ADDRESS: {address}: {str(error).strip().splitlines()[0]}") from None
    return ray


def offered(ray: Any) -> dict[str, Mapping[str, Any]]:
    """{node id: facts} of the living machines that offer themselves."""
    return {n["NodeID"]: n for n in ray.nodes() if n["Alive"] and n["Resources"].get(OFFERED)}


class RayNode:
    """One machine. An executor for the runs of its own devices. `lost` says why it can be used no more."""

    def __init__(self, ray: Any, node_id: str, facts: Mapping[str, Any], actor: type[Node]) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._ray = ray
        self.name = str(facts.get("NodeManagerHostname") or node_id[:8])
        placed = {
            "num_cpus": 0, "num_gpus": facts["Resources"].get("GPU", 0), "resources": {OFFERED: 1}, "max_restarts": 0, "max_task_retries": 0,
            "scheduling_strategy": NodeAffinitySchedulingStrategy(node_id, soft=False),
        }  # fmt: skip
        self._actor = ray.remote(actor).options(**placed).remote()
        self._described: Any = self._actor.describe.remote()
        self._look: Any = None
        self._asked = time.monotonic()
        self.patience_seconds = ANSWER_SECONDS
        self._seen: dict[str, Look] = {}
        self.lost: RunResult | None = None

    def described(self) -> tuple[list[Device], dict[str, Any]] | None:
        """Its devices, and what each technique lacks there; None until it has answered."""
        if (answer := self.answer(self._described)) is None:
            return None
        devices = [Device.from_json(d) for d in answer[0]]
        self.name = devices[0].machine
        return devices, answer[1]

    def call(self, method: str, *arguments: Any) -> Any:
        """Ask something of the machine, after all that was asked before. Returns what `answer` takes."""
        return getattr(self._actor, method).remote(*arguments)

    def answer(self, asked: Any, wait_seconds: float = 0.0) -> Any:
        """None until it is there. A machine that is gone gives none."""
        if self.lost or not self._ray.wait([asked], timeout=wait_seconds)[0]:
            return None
        try:
            return self._ray.get(asked)
        except self._ray.exceptions.OutOfMemoryError as error:
            self.lost = RunResult(Status.OUT_OF_MEMORY, f"host memory: ended by Ray's memory monitor on {self.name}: {_first_line(error)}")
        except self._ray.exceptions.RayTaskError as error:  # it lives, but cannot do what it is asked
            self.lost = RunResult(Status.FAILED, f"worker_lost: the lab on {self.name} failed: {_last_line(error)}")
        except self._ray.exceptions.RayError as error:
            kind = _EXIT_TYPE.search(str(error))
            self.lost = RunResult(
                Status.FAILED, f"worker_lost: the process of the lab on {self.name} ended{f' ({kind[1]})' if kind else ''}"
            )
        return None

    def refresh(self) -> None:
        """At the beginning of a turn: take in how its runs are, if it has said so, and ask again."""
        self.patience_seconds = ANSWER_SECONDS
        self._take_in()
        if self.lost is None and time.monotonic() - self._asked > SILENT_SECONDS:
            self.lost = RunResult(Status.FAILED, f"worker_lost: the lab on {self.name} has not answered for {SILENT_SECONDS:g} s")

    def _take_in(self) -> None:
        if self._look is not None and (seen := self.answer(self._look)) is not None:
            self._seen, self._look = seen, None
        if self._look is None:
            self._look, self._asked = self.call("look"), time.monotonic()

    def give_up(self) -> None:
        """End what is there; the machine is free for others then."""
        self._ray.kill(self._actor)

    # --- executor ---

    def start(self, spec: RunSpec, run_dir: Path, *, device: Device, keep_fds: Sequence[int] = (), owner: str = "") -> RemoteRun:
        self.call("start", run_dir.name, spec.model_dump(mode="json"), device.id, owner)
        return RemoteRun(run_dir.name)

    def poll(self, handle: RemoteRun) -> RunResult | None:
        self._take_in()
        if handle.result is None:
            handle.look = self._seen.get(handle.name, handle.look)
            if handle.look.result is not None:
                handle.result = handle.look.result
                if handle.look.trace is not None:
                    artifacts.publish_soon(handle.result.details, handle.look.trace)
                self.call("forget", handle.name)
            elif self.lost:
                handle.result = self.lost
        return handle.result

    def kill(self, handle: RemoteRun) -> None:
        if handle.result is None:
            self.call("kill", handle.name)

    def read_progress(self, handle: RemoteRun) -> str | None:
        return handle.look.phase

    def log_tail(self, handle: RemoteRun) -> str:
        return handle.look.log_tail


@dataclass(eq=False)
class RemoteRun:
    """A run on another machine, as it was when last heard of."""

    name: str
    look: Look = field(default_factory=lambda: Look(None, ""))
    result: RunResult | None = None


class RemoteLock:
    """The device's lock on its own machine."""

    def __init__(self, node: RayNode, device: Device) -> None:
        self._node, self._device = node, device
        self._asked: Any = None
        self._holder = ""

    def try_acquire(self, purpose: str = "") -> bool:
        """False also while the machine has not answered yet: try again."""
        if self._asked is None:
            self._asked = self._node.call("take", self._device.id, purpose)
        began = time.monotonic()
        answer = self._node.answer(self._asked, self._node.patience_seconds)
        self._node.patience_seconds = max(0.0, self._node.patience_seconds - (time.monotonic() - began))
        if answer is None:
            self._holder = f"{self._device.key} has not answered yet"
            return False
        self._asked, self._holder = None, str(answer)
        return not answer

    def note_holder(self, pid: int, purpose: str) -> None:
        """Nothing: a pid of this machine means nothing there, and its own processes are named already."""

    def in_use_by(self) -> str:
        return self._holder

    def release(self) -> None:
        self._asked = None
        if not self._node.lost:
            self._node.call("release", self._device.id)

    def filenos(self) -> tuple[int, ...]:
        return ()


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1][:300]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
