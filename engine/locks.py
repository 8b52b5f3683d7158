"""File locks of this machine: one per device and run, and one that tells a scheduler that it succeeds a dead one.

Kernel locks (flock): they end with the processes that hold them, however those end. No database, no waiting.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from pathlib import Path

from engine.devices import Device
from engine.settings import data_dir, locks_dir

_HOLDER_BYTES = 200


class DeviceLock:
    """The lock of one device, across all schedulers and data directories of a user; reusable.

    It is held by a descriptor that the child inherits: a run that outlives its scheduler keeps its device reserved.
    Raises ValueError where the folder of the locks cannot be trusted.
    """

    def __init__(self, device: Device) -> None:
        self.device = device
        self._path = _private_folder() / f"{device.id}.lock"
        self._fd: int | None = None

    def try_acquire(self, purpose: str = "") -> bool:
        """Take the lock now or not at all."""
        assert self._fd is None, "acquired twice"
        self._fd = _locked(self._path)
        if self._fd is not None:
            self.note_holder(os.getpid(), purpose)
        return self._fd is not None

    def note_holder(self, pid: int, purpose: str) -> None:
        """Who has the lock and for what, for those who wait. The lock must be held."""
        _overwrite(self.fileno(), f"pid {pid}{f' ({purpose})' if purpose else ''}".encode()[:_HOLDER_BYTES])

    def in_use_by(self) -> str:
        """For the side that waits: 'cpu is in use by pid 12 (run 3.1)'."""
        holder = b""
        with contextlib.suppress(OSError):
            holder = self._path.read_bytes()[:_HOLDER_BYTES]
        return f"{self.device.id} is in use by {holder.decode(errors='replace') or 'another process'}"

    def release(self) -> None:
        """Give up our descriptor. The device stays reserved while a process that inherited it lives."""
        if self._fd is not None:
            os.close(self._fd)  # not LOCK_UN: it would unlock the inherited descriptor too
            self._fd = None

    def fileno(self) -> int:
        """The descriptor that a child must inherit."""
        assert self._fd is not None, "not acquired"
        return self._fd


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


def _locked(path: Path) -> int | None:
    """A descriptor that holds the lock of this file, or None. Files are never removed: two could then both be locked."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
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
