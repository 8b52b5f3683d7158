"""One lock per device and run, across all schedulers and data directories of a user on this machine.

The lock is held by a descriptor that the child inherits: a run that outlives its scheduler keeps its device reserved.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from pathlib import Path

from engine.devices import Device
from engine.settings import locks_dir

_HOLDER_BYTES = 200


class DeviceLock:
    """The lock of one device; reusable. Raises ValueError where the folder of the locks cannot be trusted."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self._path = _private_folder() / f"{device.id}.lock"
        self._fd: int | None = None

    def try_acquire(self, purpose: str = "") -> bool:
        """Take the lock now or not at all."""
        assert self._fd is None, "acquired twice"
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        self._fd = fd
        self.note_holder(os.getpid(), purpose)
        return True

    def note_holder(self, pid: int, purpose: str) -> None:
        """Who has the lock and for what, for those who wait. The lock must be held."""
        text = f"pid {pid}{f' ({purpose})' if purpose else ''}".encode()[:_HOLDER_BYTES]
        os.ftruncate(self.fileno(), 0)
        os.pwrite(self.fileno(), text, 0)

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
