"""Whether what is to be written fits on its disk, asked before it is written. Standard library only: the worker asks too."""

from __future__ import annotations

import shutil
from pathlib import Path

MINIMUM_FREE_BYTES = 200 * 10**6
"""What a run may need for its log and results, and what stays free beside a download: the database may lie on the same disk."""

_GB = 10**9


class NoDiskError(ValueError):
    """Something does not fit on the disk. The text begins with no_disk and says what needs how much, and where how much is free."""


def free_bytes(folder: Path) -> int:
    """Free for this user, where the folder is or will be."""
    return shutil.disk_usage(existing(folder)).free


def existing(folder: Path) -> Path:
    """The folder, or what is there of its path."""
    return next(p for p in (folder, *folder.parents) if p.exists())


def require(needed: int, folder: Path, what: str, fix: str) -> None:
    """Raises NoDiskError where so many bytes would leave too little. what: the field and its value; fix: what the user can do."""
    free = free_bytes(folder)
    if needed + MINIMUM_FREE_BYTES > free:
        raise NoDiskError(f"no_disk: {what} needs {_gb(needed)} and a reserve of {_gb(MINIMUM_FREE_BYTES)}, {folder} has {_gb(free)} free; {fix}")


def require_for_a_run(folder: Path) -> None:
    """Raises NoDiskError where a run's log and results may not fit."""
    if (free := free_bytes(folder)) < MINIMUM_FREE_BYTES:
        raise NoDiskError(f"no_disk: {free // 10**6} MB are free in {folder}, a run needs {MINIMUM_FREE_BYTES // 10**6} MB; make room")


def named(reason: str) -> str:
    """The reason of a run that failed; one that ran out of disk begins with no_disk, whoever noticed it."""
    if (at := reason.find("no_disk: ")) >= 0:
        return reason[at:]
    if "No space left on device" in reason or "Disk quota exceeded" in reason:
        return f"no_disk: the disk was full while the run wrote; make room, then run it again ({reason})"
    return reason


def _gb(number: int) -> str:
    return f"{number / _GB:,.1f} GB" if number >= _GB else f"{number / _GB:.2f} GB"
