"""File locks of this machine: who may measure on which device now, and whom a scheduler succeeds.

Kernel locks (flock): they end with the processes that hold them, however those end. No database, no waiting.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from pathlib import Path
from typing import Protocol

from engine.devices import Device
from engine.settings import data_dir, locks_dir

_HOLDER_BYTES = 200


class Lock(Protocol):
    """The right to measure on one device, here or on another machine; reusable. As DeviceLock has it."""

    def try_acquire(self, purpose: str = "") -> bool: ...

    def note_holder(self, pid: int, purpose: str) -> None: ...

    def in_use_by(self) -> str: ...

    def release(self) -> None: ...

    def filenos(self) -> tuple[int, ...]: ...


class DeviceLock:
    """The right to measure on one device, across all schedulers and data directories of a user; reusable.

    One run per device; and CPU and GPU runs never at once, because a GPU run is driven by the CPU: a CPU run has the machine
    for itself, GPU runs share it. Held by descriptors that the child inherits: a run that outlives its scheduler keeps them.
    Raises ValueError where the folder of the locks cannot be trusted.

    Nobody starves: whoever has a device and waits for the machine takes the turn, and then no other run may begin before
    it. So it waits for the runs that go on, and for those of the few that had the turn before; among those who look for the
    turn at the same time, chance decides. The price: GPUs stand idle while a CPU run waits for the longest of their runs.
    A device of several GPUs takes them one after another, always in the same order: so nobody holds what another waits for
    while waiting for what that one holds.
    """

    def __init__(self, device: Device) -> None:
        self.device = device
        folder = _private_folder()
        self._paths = [folder / f"{one}.lock" for one in sorted(device.members or (device.id,))]
        self._turn_path, self._machine_path = folder / "turn.lock", folder / "machine.lock"
        self._fds: list[int] = []
        self._turn: int | None = None
        self._machine: int | None = None

    def try_acquire(self, purpose: str = "") -> bool:
        """Take what is free. False: not all of it; what we have keeps our place, so try again soon, or `release`."""
        assert self._machine is None, "acquired twice"
        for path in self._paths[len(self._fds) :]:
            if (fd := _locked(path)) is None:
                return False
            self._fds.append(fd)
            self.note_holder(os.getpid(), purpose)
        if self._turn is None:
            self._turn = _locked(self._turn_path)
        if self._turn is not None:
            self._machine = _locked(self._machine_path, shared=self.device.kind != "cpu")
        if self._machine is None:
            return False
        self._give_up_turn()
        return True

    def note_holder(self, pid: int, purpose: str) -> None:
        """Who has the device and for what, for those who wait. It must be ours."""
        assert self._fds, "not acquired"
        for fd in self._fds:
            _overwrite(fd, f"pid {pid}{f' ({purpose})' if purpose else ''}".encode()[:_HOLDER_BYTES])

    def in_use_by(self) -> str:
        """For the side that waits: 'cpu is in use by pid 12 (run 3.1)'."""
        if len(self._fds) == len(self._paths):
            return f"{self.device.id} waits for runs on other devices; CPU and GPU runs of one machine would disturb each other"
        holder, taken = b"", self._paths[len(self._fds)]
        with contextlib.suppress(OSError):
            holder = taken.read_bytes()[:_HOLDER_BYTES]
        return f"{taken.stem} is in use by {holder.decode(errors='replace') or 'another process'}"

    def release(self) -> None:
        """Give up our descriptors. Device and machine stay reserved while a process that inherited them lives."""
        self._give_up_turn()
        for fd in (*self._fds, *([] if self._machine is None else [self._machine])):
            os.close(fd)  # not LOCK_UN: it would unlock the inherited descriptor too
        self._fds, self._machine = [], None

    def _give_up_turn(self) -> None:
        if self._turn is not None:
            os.close(self._turn)
            self._turn = None

    def filenos(self) -> tuple[int, ...]:
        """The descriptors that a child must inherit."""
        assert self._fds and self._machine is not None, "not acquired"
        return (*self._fds, self._machine)


class SchedulerLock:
    """Held by one scheduler of a data directory for its lifetime; the file keeps the id of the last one that had it.

    Whoever gets it knows that this last one is dead. Others run beside it without the lock.
    """

    def __init__(self) -> None:
        self._path = data_dir() / "scheduler.lock"
        self._fd: int | None = None

    def take_over(self) -> str | None:
        """The id of the dead scheduler that we succeed, '' if we are the first; None if another one has the lock."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = _locked(self._path)
        return None if self._fd is None else os.pread(self._fd, _HOLDER_BYTES, 0).decode(errors="replace")

    def sign(self, scheduler_id: str) -> None:
        """Write our id, once nothing is left to do for the one before."""
        assert self._fd is not None, "not acquired"
        _overwrite(self._fd, scheduler_id.encode())

    def release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _locked(path: Path, shared: bool = False) -> int | None:
    """A descriptor that holds the lock of this file, or None. Files are never removed: two could then both be locked."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def _overwrite(fd: int, data: bytes) -> None:
    os.ftruncate(fd, 0)
    os.pwrite(fd, data, 0)


def _private_folder() -> Path:
    """The folder of the locks, ours alone: a stranger's folder in a shared temporary directory could block us."""
    folder = locks_dir()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
        raise ValueError(f"LAB_LOCKS: {folder} belongs to somebody else; name a folder of your own")
    if stat.S_IMODE(facts.st_mode) & 0o077:
        folder.chmod(0o700)
    return folder
