"""What a machine of a cluster does for a scheduler elsewhere, without a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from engine import settings
from engine.cluster.node import Look, Node
from engine.devices import Device
from engine.locks import DeviceLock
from engine.measurement import Status
from engine.run_spec import at_home
from tests.engine.processes import CPU, local_executor, run_spec_for, wait_for


@pytest.fixture
def node() -> Iterator[Node]:
    node = Node(local_executor(), (CPU,))
    assert node.take("cpu", "run 1.1") == ""
    yield node
    for name in node.look():
        node.kill(name)
    wait_for(lambda: all(look.result for look in node.look().values()))


def begin(node: Node, mode: str, **changes: Any) -> None:
    node.start("1.1", run_spec_for(mode).model_dump(mode="json") | changes, "cpu", "me")


def ended(node: Node) -> Look:
    look: Look = wait_for(lambda: (look := node.look()["1.1"]).result and look)
    return look


def test_a_run_is_told_of_until_it_is_forgotten(node: Node) -> None:
    begin(node, "normal")
    look = ended(node)
    assert look.result is not None and look.result.status is Status.SUCCEEDED and look.log_tail == "all is well\n"
    assert node.look().keys() == {"1.1"}
    node.forget("1.1")
    assert node.look() == {}


def test_progress_is_seen_and_a_kill_ends_it(node: Node) -> None:
    begin(node, "sleep-600")
    wait_for(lambda: node.look()["1.1"].phase == "warm-up: 2 of 3")
    node.kill("1.1")
    result = ended(node).result
    assert result is not None and (result.status, result.reason) == (Status.FAILED, "signal 9: killed from outside")


@pytest.mark.parametrize(("changes", "said"), [({"seed": "x"}, "could not start: ValidationError"), ({"device": None}, "could not start: ")])
def test_what_cannot_start_is_a_result_and_no_end_of_the_node(node: Node, changes: dict[str, Any], said: str) -> None:
    begin(node, "normal", **changes)
    result = node.look()["1.1"].result
    assert result is not None and result.status is Status.FAILED and (result.reason or "").startswith(said)


def test_a_full_disk_is_that_of_the_node(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.disk.MINIMUM_FREE_BYTES", 10**18)
    begin(node, "normal")
    result = node.look()["1.1"].result
    assert result is not None and (result.reason or "").startswith("no_disk: ")


def test_who_has_the_device_is_named_and_the_place_is_kept(node: Node) -> None:
    other = Node(local_executor(), (CPU,))
    assert other.take("cpu", "run 2.1").endswith("(run 1.1)")
    node.release("cpu")
    assert other.take("cpu", "run 2.1") == ""
    assert not DeviceLock(CPU).try_acquire()
    other.release("cpu")


def test_folders_and_cpus_are_those_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = run_spec_for("normal", threads=64)
    device = Device("cpu", "cpu", "another processor", "elsewhere", 2**30)
    monkeypatch.setattr("engine.run_spec.usable_cpus", lambda: 3)
    here = at_home(sent, device)
    assert (here.threads, here.device["machine"], here.texts_dir) == (3, "elsewhere", str(settings.texts_dir()))
    assert at_home(sent.model_copy(update={"threads_asked": 2}), device).threads == 2
