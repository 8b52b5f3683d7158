"""The children of an executor: started anew, or forked from a template that has everything imported.

Owns how a child comes to be, whether it has ended, and its exit status. What a run is and what its end means is the executor's.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import secrets
import select
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from engine.child_process import MARK_VARIABLE, MESSAGE_BYTES, PARENT_VARIABLE
from engine.settings import REPOSITORY

_OF_ONE_RUN = ("CUDA_VISIBLE_DEVICES", MARK_VARIABLE, PARENT_VARIABLE)
"""Variables that nothing reads while it is imported: they may differ between the runs of one template."""
_KEPT = 3
"""Templates at once: the core environment, and layered ones in turn. Each holds some 400 MB, most of it shared with its runs."""

_MARK_BYTES = 8


def new_mark(owner: str) -> str:
    """A mark of one run. owner: the scheduler's id, by which all runs of one that died can be found."""
    return f"{owner}/{secrets.token_hex(_MARK_BYTES)}"


class Child(Protocol):
    """One process of a run, the leader of a group and session of its own. pid: 0 while it does not exist yet."""

    pid: int

    def ended(self) -> bool:
        """Whether it is over."""

    def kill(self) -> None:
        """End it and its group at once, or as soon as it exists."""

    def reap(self) -> tuple[int, int]:
        """After its end, once, together with what is left of its group: (exit code, negative for a signal; peak resident bytes by
        the kernel's account)."""


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


class ColdChild:
    """A child that was started as a program of its own."""

    def __init__(self, command: Sequence[str], run_dir: Path, environment: Mapping[str, str], output: int, keep_fds: Sequence[int]) -> None:
        self._process = subprocess.Popen(
            [*command, str(run_dir)], stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=run_dir / "cwd",
            env={**environment, PARENT_VARIABLE: str(os.getpid())}, pass_fds=tuple(keep_fds), start_new_session=True,
        )  # fmt: skip
        self.pid = self._process.pid

    def ended(self) -> bool:
        # WNOWAIT leaves a zombie that holds the pid, so that the group which is killed is surely this child's
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def kill(self) -> None:
        _kill_group(self.pid)

    def reap(self) -> tuple[int, int]:
        _kill_group(self.pid)
        _, status, usage = os.wait4(self.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        return self._process.returncode, usage.ru_maxrss * 1024


class _Template:
    """Our end of one template process."""

    def __init__(self, python: str, owner: str, environment: Mapping[str, str]) -> None:
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        started_with = {
            **environment, PARENT_VARIABLE: str(os.getpid()), MARK_VARIABLE: f"{owner}/{'0' * 2 * _MARK_BYTES}",
            # a call of the CUDA runtime, if only to count GPUs, would make CUDA unusable in the forks
            "CUDA_VISIBLE_DEVICES": "", "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
        }  # fmt: skip
        with theirs:
            # in our own session, unlike a run: what sweeps after runs must not take it for one
            self._process = subprocess.Popen(
                [python, "-m", "engine.template", str(theirs.fileno())], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, cwd=REPOSITORY, env=started_with, pass_fds=(theirs.fileno(),),
            )  # fmt: skip
        self.pid = self._process.pid
        self.waiting: list[ForkedChild] = []
        self.running = 0
        self.gone = False

    def order(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        try:
            socket.send_fds(self._orders, [json.dumps(message).encode()], list(descriptors))
        except OSError:
            self.close()

    def answer(self, *, wait: bool = False) -> dict[str, Any] | None:
        """The next answer, if there is one; that a child exists now is passed on to it. Notices that the template is gone."""
        while not self.gone:
            try:
                message = self._orders.recv(MESSAGE_BYTES, 0 if wait else socket.MSG_DONTWAIT)
            except BlockingIOError:
                return None
            except OSError:
                message = b""
            if not message:
                self.close()
                return None
            found: dict[str, Any] = json.loads(message)
            if "pid" not in found:
                return found
            self.waiting.pop(0).exists(found["pid"])
        return None

    def close(self) -> None:
        """Its runs end with it."""
        if not self.gone:
            self.gone = True
            self._orders.close()
            self._process.kill()
            self._process.wait()


class ForkedChild:
    """A child that a template forks. Where the template ends before it could, the child is started as a program after all:
    what kept the template from starting then shows as it would have without one."""

    def __init__(self, template: _Template, otherwise: Callable[[int, Sequence[int]], ColdChild], order: dict[str, Any], descriptors: Sequence[int]) -> None:
        self.pid = 0
        self._template, self._otherwise = template, otherwise
        self._cold: ColdChild | None = None
        self._ending: int | None = None
        self._killed = False
        self._exit_code = -signal.SIGKILL  # where the template that it was tied to is gone, nobody has asked the kernel
        # copies: ours are closed, and may be needed for the other way to start
        self._descriptors = [os.dup(fd) for fd in descriptors]
        template.waiting.append(self)
        template.running += 1
        template.order(order, self._descriptors)

    def exists(self, pid: int) -> None:
        self.pid = pid
        self._forget_descriptors()
        with contextlib.suppress(ProcessLookupError):  # the template died meanwhile, and the child with it
            self._ending = os.pidfd_open(pid)
        if self._killed:
            self.kill()

    def ended(self) -> bool:
        if self._cold is not None:
            return self._cold.ended()
        if self.pid == 0:
            self._template.answer()
            if self.pid == 0 and self._template.gone:
                return self._start_otherwise()
            return False
        return self._ending is None or bool(select.select([self._ending], [], [], 0)[0])

    def _start_otherwise(self) -> bool:
        """Whether it is over with that."""
        if not self._killed:
            output, *kept = self._descriptors
            try:
                self._cold = self._otherwise(output, kept)
                self.pid = self._cold.pid
            except OSError as error:
                os.write(output, f"could not start: {error}".encode())
                self._exit_code = 1
        self._forget_descriptors()
        return self._cold is None

    def kill(self) -> None:
        self._killed = True
        if self._cold is not None:
            self._cold.kill()
        elif self.pid and not self._template.gone:  # until the template has reaped it the pid is its own
            _kill_group(self.pid)
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)  # it may not have a group of its own yet
        elif self.pid == 0 and self._template.running == 1:
            self._template.close()  # it is still importing, for nobody else

    def reap(self) -> tuple[int, int]:
        self._template.running -= 1
        if self._cold is not None:
            return self._cold.reap()
        if self._ending is not None:
            os.close(self._ending)
        if self.pid and not self._template.gone:
            _kill_group(self.pid)
            self._template.order({"reap": self.pid})
            if (answer := self._template.answer(wait=True)) is not None:
                return os.waitstatus_to_exitcode(answer["status"]), answer["peak_bytes"]
        return self._exit_code, 0

    def _forget_descriptors(self) -> None:
        while self._descriptors:
            os.close(self._descriptors.pop())


_templates: dict[tuple[str, str, tuple[tuple[str, str], ...]], _Template] = {}
"""Of this process, the one that was used last at the end."""


def forked_child(
    command: Sequence[str], run_dir: Path, environment: Mapping[str, str], output: int, keep_fds: Sequence[int]
) -> ForkedChild:
    """A child that runs the worker on a folder. command: how to start it without a template; begins with its interpreter."""
    python = command[0]
    owner = environment[MARK_VARIABLE].rpartition("/")[0]
    key = (python, owner, tuple(sorted((k, v) for k, v in environment.items() if k not in _OF_ONE_RUN)))
    template = _templates.pop(key, None)
    if template is None or template.gone:
        template = _Template(python, owner, environment)
    _templates[key] = template
    for other in [k for k, t in _templates.items() if not t.running and t is not template][: max(0, len(_templates) - _KEPT)]:
        _templates.pop(other).close()
    order = {
        "run_dir": str(run_dir), "cwd": str(run_dir / "cwd"), "environment": {**environment, PARENT_VARIABLE: str(template.pid)},
    }  # fmt: skip
    return ForkedChild(template, functools.partial(ColdChild, command, run_dir, environment), order, [output, *keep_fds])


@atexit.register
def close_templates() -> None:
    while _templates:
        _templates.popitem()[1].close()
