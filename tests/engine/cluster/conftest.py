"""A real Ray cluster of two machines, which are two folders of this one, and schedulers of it as processes of their own."""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import Engine

from engine.settings import REPOSITORY
from tests.engine.processes import alive, wait_for
from tests.engine.scheduler.lab import BEAT, LEASE, count_schedulers


@dataclass
class Machine:
    """A part of the cluster with folders of its own."""

    name: str
    folder: Path
    address: str | None
    environment: dict[str, str]
    port: int

    def start(self) -> None:
        own = {"LAB_MACHINE": self.name, "LAB_DATA": str(self.folder), "LAB_LOCKS": str(self.folder / "locks")}
        where = [self.address] if self.address else ["--port", str(self.port)]
        self.folder.mkdir(exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", "engine", "node", *where], cwd=REPOSITORY, env=os.environ | self.environment | own, start_new_session=True,
                stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        wait_for(lambda: b"This command will now block" in (self.folder / "log").read_bytes(), 120)

    def kill(self) -> None:
        """As a power cut does."""
        everything = [psutil.Process(self._popen.pid), *psutil.Process(self._popen.pid).children(recursive=True)]
        for process in everything:
            process.kill()
        self._popen.wait()
        (self.folder / "log").unlink()

    def started(self) -> list[str]:
        """Folders of the runs that began here, in order."""
        path = self.folder / "runs" / "executions"
        return [name for name, what in (line.split() for line in path.read_text().splitlines()) if what != "ended"] if path.exists() else []

    def pids(self) -> list[int]:
        """Of the children that began here."""
        path = self.folder / "runs" / "executions"
        return [int(what) for _, what in (line.split() for line in path.read_text().splitlines()) if what != "ended"] if path.exists() else []

    def actor(self) -> psutil.Process:
        """The process of the lab here."""
        return next(
            p for p in psutil.process_iter() if p.status() != psutil.STATUS_ZOMBIE and "ray::StandIn" in " ".join(p.cmdline())
            and p.environ().get("LAB_MACHINE") == self.name
        )  # fmt: skip


@dataclass
class Cluster:
    address: str
    alpha: Machine
    beta: Machine


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder, port = tmp_path_factory.mktemp("cluster"), _free_port()
    environment = {"RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_AUTH_MODE": "token"}
    alpha = Machine("alpha", folder / "alpha", None, dict(environment), port)
    alpha.start()
    (ours,) = re.findall(r"Local node IP: (\S+)", (alpha.folder / "log").read_text())
    address = f"{ours}:{port}"
    beta = Machine("beta", folder / "beta", address, dict(environment), port)
    beta.start()
    before = dict(os.environ)
    os.environ.update(environment)  # of whoever joins them
    yield Cluster(address, alpha, beta)
    os.environ.clear()
    os.environ.update(before)
    for machine in (beta, alpha):
        machine.kill()


@pytest.fixture
def serve(cluster: Cluster, db: Engine) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts a scheduler of the cluster and waits until both machines are served. At the end nothing is left of any."""
    started: list[subprocess.Popen[bytes]] = []

    def serve() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.engine.cluster.stand_in", cluster.address, str(LEASE), str(BEAT)]
        started.append(subprocess.Popen(command, cwd=REPOSITORY))
        wait_for(lambda: count_schedulers(db) == 2, 120)
        return started[-1]

    yield serve
    for process in started:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    for machine in (cluster.alpha, cluster.beta):
        wait_for(lambda machine=machine: not any(map(alive, machine.pids())))
        (machine.folder / "runs" / "executions").unlink(missing_ok=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def of(rows: list[Any], experiment: str) -> list[Any]:
    return [row for row in rows if row.experiment_id == experiment]
