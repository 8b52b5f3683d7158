"""Starts one run as a process of its own, watches it, kills it. The only place that spawns children.

Knows nothing of the database, and never decides what happens to a run after its end.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from engine import child_result, run_folders
from engine.child_output import Output
from engine.child_process import MARK_VARIABLE, oom_kills, sweep
from engine.children import Child, ColdChild, forked_child, new_mark
from engine.devices import Device
from engine.environments import CORE, ENVIRONMENTS, python_of
from engine.measurement import RunResult
from engine.run_spec import RunSpec
from engine.settings import REPOSITORY, environments_dir
from engine.technique import environment_of

_PASSED_ON = (
    "PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "CUDA_HOME", "VIRTUAL_ENV",
    "HF_HOME", "HF_TOKEN", "HF_HUB_OFFLINE", "HF_ENDPOINT",
    "NCCL_NVLS_ENABLE", "TORCH_SYMM_MEM_DISABLE_MULTICAST", "NVSHMEM_DISABLE_NVLS",
)  # fmt: skip

_WORKER = (sys.executable, "-m", "engine.worker")


class Executor(Protocol):
    """Runs one RunSpec at a place of its choice. Handles are opaque: only the executor that made one looks inside."""

    def start(
        self, spec: RunSpec, run_dir: Path, *, device: Device, keep_fds: Sequence[int] = (), owner: str = ""
    ) -> Any:
        """Begin a run in a fresh folder, in place of any earlier one of that name. Returns its handle.

        keep_fds: descriptors that stay open in the child. owner: the scheduler's id; all that a dead scheduler left
        running can be found by it. Raises OSError where the run cannot be started. To be called from the main thread.
        """

    def poll(self, handle: Any) -> RunResult | None:
        """None while the run goes on, then its result, as often as asked. At its end no process of it is left."""

    def kill(self, handle: Any) -> None:
        """End the run at once; `poll` then returns what it left. Harmless after the end."""

    def read_progress(self, handle: Any) -> str | None:
        """What the run does now, in words: 'warm-up: 2 of 3'."""

    def log_tail(self, handle: Any) -> str:
        """At most the last 4,000 characters that the run printed."""


@dataclass(eq=False)
class Handle:
    """One child of LocalExecutor. Its pid is also its process group and its session. live: descriptor that keeps its folder."""

    child: Child
    run_dir: Path
    live: int
    mark: str
    output: Output
    oom_kills: int
    peak_bytes: int = 0
    killed: bool = False
    result: RunResult | None = None


class LocalExecutor:
    """Runs children on this machine. `command` is what precedes the run's folder in a child's arguments.

    A worker is forked from a template of its environment, so that only the first one waits for imports.
    """

    def __init__(self, command: Sequence[str] = _WORKER) -> None:
        self._command = tuple(command)
        self._live: set[Handle] = set()

    def start(
        self, spec: RunSpec, run_dir: Path, *, device: Device, keep_fds: Sequence[int] = (), owner: str = ""
    ) -> Handle:
        # the kernel kills a child when the *thread* that started it ends, not only when the process does
        assert threading.current_thread() is threading.main_thread(), "start() belongs to the main thread"
        run_dir = run_dir.resolve()
        mark = new_mark(owner)
        environment = _environment(spec, device) | {MARK_VARIABLE: mark}
        killed_before = oom_kills()
        with contextlib.ExitStack() as undo:
            live = run_folders.make(run_dir)
            undo.callback(os.close, live)
            (run_dir / "cwd").mkdir()
            (run_dir / child_result.SPEC).write_text(json.dumps(spec.model_dump(mode="json"), allow_nan=False))
            output = Output(run_dir / child_result.LOG)
            undo.callback(output.finish)
            command = self._command_of(spec)
            if command[1:] == _WORKER[1:]:
                child: Child = forked_child(command, run_dir, environment, output.pipe, keep_fds)
            else:
                child = ColdChild(command, run_dir, environment, output.pipe, keep_fds)
            undo.pop_all()
        output.close_pipe()
        self._live.add(handle := Handle(child, run_dir, live, mark, output, killed_before))
        return handle

    def _command_of(self, spec: RunSpec) -> tuple[str, ...]:
        """The command, by the interpreter of the environment that the stack runs in; the core's where that one is not
        installed, so that the child itself ends as unsupported with the reason."""
        name = environment_of([t.build() for t in spec.stack])
        if name == CORE or not ENVIRONMENTS[name].installed():
            return self._command
        return (python_of(name), *self._command[1:])

    def poll(self, handle: Handle) -> RunResult | None:
        if handle.result is None:
            handle.peak_bytes = max(handle.peak_bytes, _high_water_mark(handle.child.pid))
            if handle.child.ended():
                handle.result = self._ended(handle)
        return handle.result

    def _ended(self, handle: Handle) -> RunResult:
        exit_code, counted_bytes = handle.child.reap()
        self._live.remove(handle)
        sweep(handle.mark, {h.child.pid for h in self._live})
        handle.output.finish()
        result = child_result.read_result(
            handle.run_dir,
            exit_code,
            out_of_memory=oom_kills() > handle.oom_kills and not handle.killed,
            # linux counts from before exec, when the child was a copy of us: never below our own peak; and the worker
            # resets its mark between passes, which loses earlier peaks, so the marks seen while polling count too
            host_peak_bytes=max(handle.peak_bytes, counted_bytes),
            log_tail=handle.output.tail(),
        )
        os.close(handle.live)
        return result

    def kill(self, handle: Handle) -> None:
        if handle.result is None:
            handle.killed = True
            handle.child.kill()

    def read_progress(self, handle: Handle) -> str | None:
        return child_result.read_progress(handle.run_dir)

    def log_tail(self, handle: Handle) -> str:
        return handle.output.tail()


def _environment(spec: RunSpec, device: Device) -> dict[str, str]:
    """An allow-list: a child gets no database address and no secret but the hub token."""
    passed_on = {k: v for k, v in os.environ.items() if k in _PASSED_ON or k.startswith("LC_")}
    path = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
    return passed_on | device.child_environment() | {
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": str(spec.threads),
        "MKL_NUM_THREADS": str(spec.threads),
        "PYTHONPATH": os.pathsep.join(path),
        "PYTHONUNBUFFERED": "1",  # what was printed before a crash is what explains it
        "PYTHONFAULTHANDLER": "1",
        "LAB_ENVIRONMENTS": str(environments_dir()),
    }


def _high_water_mark(pid: int) -> int:
    """Peak resident bytes of a living process; 0 once it has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0
