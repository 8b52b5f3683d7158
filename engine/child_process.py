"""The processes of a run on Linux: a child that dies with its parent, and a sweep that leaves nothing behind.

Imports the standard library only and quickly: the worker calls `tie_to_parent` before anything else. Starts nothing itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Collection, Iterator

PARENT_VARIABLE = "LAB_PARENT_PID"
MARK_VARIABLE = "LAB_RUN"
"""Carries the mark of a run; every process that the run starts inherits it."""
MESSAGE_BYTES = 2**18
"""Longest message between an executor and a template process."""

_ENV_START = 47
"""Place of env_start among the fields of /proc/PID/stat after the name (proc(5), field 50)."""
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER, _PR_GET_CHILD_SUBREAPER = 1, 36, 37


def tie_to_parent() -> None:
    """In the child: be killed when the parent ends, and be the first to be chosen when memory runs out.

    Does nothing where no parent is named, that is, in a worker started by hand.
    """
    parent = os.environ.get(PARENT_VARIABLE)
    if parent is None:
        return
    die_with_parent(int(parent), signal.SIGKILL)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as f:
        f.write("1000")


def die_with_parent(parent: int, number: signal.Signals) -> None:
    """In the child: get this signal when the parent's thread that started us ends. parent: its pid."""
    _prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:  # it ended before the line above took effect
        os._exit(1)


def write_mark(mark: str) -> None:
    """In a forked child: take this mark in place of the one that the process was started with, where others look for it.

    /proc/PID/environ shows the memory in which the kernel laid the environment down, so it is written there; what this process
    starts gets the mark from `os.environ`. Raises ValueError where the two are not equally long.
    """
    with open("/proc/self/environ", "rb") as f:
        started_with = f.read()
    with open("/proc/self/stat", "rb") as f:
        start = int(f.read().rpartition(b")")[2].split()[_ENV_START])
    name = f"{MARK_VARIABLE}=".encode()
    at = (b"\0" + started_with).find(b"\0" + name)
    old = started_with[at:].partition(b"\0")[0]
    if at < 0 or len(old) != len(name + mark.encode()):
        raise ValueError(f"{MARK_VARIABLE}: the process was not started with a mark of this length")
    ctypes.memmove(start + at, name + mark.encode(), len(old))


def adopt_orphans() -> None:
    """In a scheduler process: processes whose parent ended become our children, not those of process 1."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def sweep(mark: str, live: Collection[int]) -> None:
    """Kill what an ended run left behind, in whatever session it hides, and reap what was handed to us.

    mark: the run's mark. live: pids of the runs that go on. A process that cleared its environment cannot be told from
    one of another run, so it is killed only when no other run is live.
    """
    adopting = _adopts_orphans()
    for _ in range(20):  # a process may fork between being found and being killed; one stuck in a driver stays
        found = kill_marked(mark)
        if adopting and not live:
            found |= _kill({pid for pid, state in _foreign_children() if state != "Z"})
        if adopting:
            _reap(live)
        if not found:
            return
        time.sleep(0.01)


def kill_marked(prefix: str) -> set[int]:
    """Kill all processes of this user whose mark begins like this, ourselves left out. Returns their pids."""
    wanted = f"\0{MARK_VARIABLE}={prefix}".encode()
    found = set()
    for pid in _pids():
        try:
            with open(f"/proc/{pid}/environ", "rb") as f:
                environment = f.read()
        except OSError:  # it ended, or belongs to another user
            continue
        if wanted in b"\0" + environment:
            found.add(pid)
    return _kill(found - {os.getpid()})


def oom_kills() -> int:
    """How many processes the kernel has killed for memory since boot; 0 where it does not say."""
    try:
        with open("/proc/vmstat") as f:
            return next((int(line.split()[1]) for line in f if line.startswith("oom_kill ")), 0)
    except OSError:
        return 0


def _kill(pids: set[int]) -> set[int]:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    return pids


def _reap(live: Collection[int]) -> None:
    for pid, state in _foreign_children():
        if state == "Z" and pid not in live:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def _foreign_children() -> Iterator[tuple[int, str]]:
    """(pid, state letter) of our children in other sessions than ours: runs, and orphans that were handed to us."""
    for pid in _pids():
        try:
            with open(f"/proc/{pid}/stat", "rb") as f:
                # the name in parentheses may hold anything, so read after its end: state, parent, group, session
                state, parent, _, session = f.read().rpartition(b")")[2].split()[:4]
        except (OSError, ValueError):
            continue
        if int(parent) == os.getpid() and int(session) != os.getsid(0):
            yield pid, state.decode()


def _pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def _adopts_orphans() -> bool:
    answer = ctypes.c_int()
    _prctl(_PR_GET_CHILD_SUBREAPER, ctypes.addressof(answer))
    return answer.value == 1


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    unused = ctypes.c_ulong(0)
    if libc.prctl(option, ctypes.c_ulong(value), unused, unused, unused) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
