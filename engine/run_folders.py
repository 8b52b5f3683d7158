"""The folders of runs: each is made fresh, kept while its run is live, and removed once enough newer ones are there.

What a run measured is in the database or the bundle; its folder (log, spec, result) is for those who look into a failure.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from pathlib import Path

KEPT = 500


def make(folder: Path) -> int:
    """Make the folder, in place of any earlier one, and remove the oldest beside it beyond the newest KEPT.

    Returns a descriptor; the folder counts as live until it is closed or its process ends.
    """
    if folder.exists():  # of a database that is gone: its results must not become ours
        shutil.rmtree(folder)
    folder.mkdir(mode=0o700, parents=True)
    live = _open(folder)
    fcntl.flock(live, fcntl.LOCK_SH)
    _prune(folder.parent)
    return live


def _prune(parent: Path) -> None:
    """Now, because no run of ours has begun on this device: removing files would disturb what it measures."""
    aged = []
    for entry in os.scandir(parent):
        with contextlib.suppress(OSError):  # another scheduler removes too
            if entry.is_dir(follow_symlinks=False):
                aged.append((entry.stat(follow_symlinks=False).st_mtime_ns, entry.path))
    for _, path in sorted(aged, reverse=True)[KEPT:]:
        if not is_live(Path(path)):
            shutil.rmtree(path, ignore_errors=True)


def is_live(folder: Path) -> bool:
    """Whether its run goes on, or cannot be asked about."""
    try:
        probe = _open(folder)
    except OSError:
        return True  # not ours to remove, or gone already
    try:
        fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(probe)
    return False


def _open(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
