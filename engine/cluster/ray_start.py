"""The command line with which a machine starts or joins a Ray cluster: what Ray is told, and what the lab needs of it."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path

from engine import settings
from engine.cluster.ray_nodes import OFFERED

OBJECT_STORE_BYTES = 200_000_000
"""Of shared memory: results and traces are small, and Ray would take a third of the machine's memory."""


def command(address: str | None, *, port: int, host: str | None, idle: bool) -> tuple[list[str], dict[str, str]]:
    """Arguments and environment of a process that is this machine's part of the cluster and ends with it.

    address: HOST:PORT to join, None to start one on `port`. host: this machine's address as others reach it. idle: offer nothing.
    Raises ValueError where Ray is not installed, no token is set, or an address is none.
    """
    if importlib.util.find_spec("ray") is None:
        raise ValueError("node: the package ray is not installed; python -m pip install -r requirements-ray.txt")
    if address is not None and not address.rpartition(":")[2].isdigit():
        raise ValueError(f"address: {address!r} is not HOST:PORT")
    token = os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH") or (Path.home() / ".ray" / "auth_token").is_file()
    if not token and os.environ.get("RAY_AUTH_MODE") != "disabled":
        raise ValueError("RAY_AUTH_TOKEN: who reaches a Ray cluster can run anything on it; set the same long random token on every machine "
                         "(make one: python -c 'import secrets; print(secrets.token_hex(32))')")  # fmt: skip
    where = ["--head", f"--port={port}", "--include-dashboard=false"] if address is None else [f"--address={address}"]
    arguments = [
        sys.executable, "-m", "ray.scripts.scripts", "start", *where, "--block", "--disable-usage-stats", "--include-log-monitor=false",
        f"--object-store-memory={OBJECT_STORE_BYTES}",
        *([f"--node-ip-address={host}"] if host else []), *([] if idle else [f"--resources={json.dumps({OFFERED: 1})}"]),
    ]  # fmt: skip
    path = [str(settings.REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
    return arguments, os.environ | {
        "PYTHONPATH": os.pathsep.join(path),
        "RAY_AUTH_MODE": os.environ.get("RAY_AUTH_MODE", "token"),
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",  # Ctrl-C means now; what ran there is failed, and the user decides
        "RAY_worker_niceness": "0",  # by default what Ray starts gives way to everything else, and a measurement must not
    }
