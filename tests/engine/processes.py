"""Helpers of the tests that start real processes: run specs for misbehaving_child, waiting, and looking for leftovers."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from engine.devices import Device
from engine.executor import LocalExecutor
from engine.run_spec import RunSpec

CHILD = (sys.executable, str(Path(__file__).with_name("misbehaving_child.py")))
CPU = Device("cpu", "cpu", "a processor", "here", 2**30)


def local_executor() -> LocalExecutor:
    return LocalExecutor(CHILD)


def run_spec_for(mode: str, threads: int = 2) -> RunSpec:
    return RunSpec(
        kind="speed", model=f"local:{mode}", stack=(), baseline_stack=(), workload="generation", device=CPU.to_json(),
        seed=0, threads=threads, models_dir="", local_models_dir="", texts_dir="", artifacts_dir="",
    )  # fmt: skip


def wait_for(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """The first true answer; fails the test after so many seconds, of which a slow machine may need most."""
    end = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.02)
    return answer


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def processes_under(folder: Path) -> list[psutil.Process]:
    """Living processes that were started with this folder in their arguments, or work in it."""
    found = []
    for process in psutil.process_iter():
        try:
            places = [process.cwd(), *process.cmdline()]
        except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
            continue
        if any(str(folder) in place for place in places):
            found.append(process)
    return found
