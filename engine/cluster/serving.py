"""Serves the queue with the machines of a cluster: one Scheduler for each, all in this process. Machines may come and go."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import Engine

from engine import logs
from engine.cluster.node import Node, OwnNode
from engine.cluster.ray_nodes import RayNode, RemoteLock, connect, offered
from engine.locks import SchedulerLock
from engine.scheduler import BEAT_SECONDS, LEASE_SECONDS, PAUSE_SECONDS, Scheduler, stop_signals

_log = logs.logger("scheduler")
LOOK_AROUND_SECONDS = 2.0
"""How soon a machine that has joined is seen."""


def serve_cluster(
    db: Engine, address: str, *, lease: float = LEASE_SECONDS, beat: float = BEAT_SECONDS, actor: type[Node] = OwnNode
) -> None:
    """Until SIGTERM or Ctrl-C. Raises ValueError where the cluster cannot be reached."""
    ray = connect(address)
    lock = SchedulerLock()
    lock.take_over()  # for as long as any machine is served: `restore` must not come between
    with stop_signals() as stopped:  # after Ray, which takes SIGTERM for itself
        machines = Machines(db, ray, lease, beat, actor)
        try:
            while not stopped():
                machines.turn()
                time.sleep(PAUSE_SECONDS)
        finally:
            machines.end()
            lock.release()
            ray.shutdown()


class Machines:
    """The machines that are served now, by Ray's id of each."""

    def __init__(self, db: Engine, ray: Any, lease: float, beat: float, actor: type[Node]) -> None:
        self._db, self._ray, self._lease, self._beat, self._actor = db, ray, lease, beat, actor
        self._nodes: dict[str, RayNode] = {}
        self._schedulers: dict[str, Scheduler] = {}
        self._looked = float("-inf")

    def turn(self) -> None:
        if time.monotonic() - self._looked >= LOOK_AROUND_SECONDS:
            self._looked = time.monotonic()
            for key, facts in offered(self._ray).items():
                if key not in self._nodes:
                    self._nodes[key] = RayNode(self._ray, key, facts, self._actor)
        for key, node in list(self._nodes.items()):
            if key not in self._schedulers and (found := node.described()) is not None:
                self._join(key, node, *found)
            if key in self._schedulers:
                node.refresh()
                self._schedulers[key].turn(claim=node.lost is None)
            if node.lost:
                self._leave(key)

    def _join(self, key: str, node: RayNode, devices: list[Any], availability: dict[str, Any]) -> None:
        served = Scheduler(
            self._db, node, devices, availability, locks=lambda device: RemoteLock(node, device), lease=self._lease, beat=self._beat
        )
        served.begin()
        self._schedulers[key] = served
        _log.warning(f"{devices[0].machine} joined with {', '.join(d.id for d in devices)}")

    def _leave(self, key: str) -> None:
        node = self._nodes.pop(key)
        if served := self._schedulers.pop(key, None):
            served.end()
        node.give_up()
        _log.warning(f"{node.name} left: {node.lost.reason if node.lost else ''}")

    def end(self) -> None:
        for served in self._schedulers.values():
            served.end()
        for node in self._nodes.values():
            node.give_up()
