"""With what command line a machine becomes part of a cluster, and what is refused before Ray is started."""

from __future__ import annotations

import importlib.util
import socket
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from engine.cluster import ray_nodes, ray_start
from engine.settings import REPOSITORY


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if name == "ray" else real(name))
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH", "PYTHONPATH"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "a" * 64)


def started(address: str | None = None, **changes: Any) -> tuple[list[str], dict[str, str]]:
    return ray_start.command(address, **({"port": 6379, "host": None, "idle": False} | changes))


def test_a_cluster_is_started_without_its_dashboard_and_with_a_token() -> None:
    arguments, environment = started(port=7000)
    assert arguments[:4] == [sys.executable, "-m", "ray.scripts.scripts", "start"]
    assert {"--head", "--port=7000", "--include-dashboard=false", "--block", '--resources={"tradeoff_lab": 1}'} <= set(arguments)
    assert environment["RAY_AUTH_MODE"] == "token" and environment["PYTHONPATH"] == str(REPOSITORY)
    assert environment["RAY_worker_niceness"] == "0", "a run that gives way to others measures them"


def test_a_machine_joins_and_the_one_of_the_pages_may_offer_nothing() -> None:
    arguments, _ = started("head:6379", host="10.0.0.7", idle=True)
    assert {"--address=head:6379", "--node-ip-address=10.0.0.7"} <= set(arguments) and "--head" not in arguments
    assert not [a for a in arguments if a.startswith("--resources")]


def test_without_a_token_nothing_is_opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    with pytest.raises(ValueError, match="RAY_AUTH_TOKEN: who reaches a Ray cluster can run anything on it"):
        started()
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("b" * 64)
    started()


def test_mistakes_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="address: 'head' is not HOST:PORT"):
        started("head")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="node: the package ray is not installed; .* requirements-ray.txt"):
        started()


def test_an_address_that_is_none_or_that_nothing_answers_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", ModuleType("ray"))
    with pytest.raises(ValueError, match="RAY_ADDRESS: 'auto' is not HOST:PORT"):
        ray_nodes.connect("auto")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(ValueError, match=f"RAY_ADDRESS: nothing answers at {address} .*; start a node there: python -m engine node"):
        ray_nodes.connect(address)


@pytest.mark.case("T39")
def test_without_ray_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=r"RAY_ADDRESS: the package ray is not installed; .* requirements-ray.txt"):
        ray_nodes.connect("somewhere:6379")
