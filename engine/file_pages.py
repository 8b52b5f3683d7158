"""The pages of files, libraries above all, that a process has mapped: a fork begins without them.

Linux copies to a fork the page tables of memory that a process wrote to, and leaves those of files to be filled anew at each first
touch. A run would then be measured as smaller than the same run started as a program, by what its imports touched.
"""

from __future__ import annotations

import ctypes
import os

_POPULATE_READ = 22  # MADV_POPULATE_READ of Linux 5.14
_PRESENT = 1 << 63


def mapped() -> list[tuple[int, int]]:
    """(address, bytes) of the stretches of this process's file mappings that it has touched and not changed."""
    import numpy as np

    page, found = os.sysconf("SC_PAGE_SIZE"), []
    with open("/proc/self/maps") as maps, open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
        for line in maps:
            addresses, permissions, _, _, inode, *_ = line.split(maxsplit=5)
            start, end = (int(a, 16) for a in addresses.split("-"))
            if inode == "0" or permissions[0] != "r":
                continue
            pages = np.frombuffer(os.pread(pagemap.fileno(), (end - start) // page * 8, start // page * 8), dtype=np.uint64)
            there = np.flatnonzero(np.diff(np.concatenate([[0], (pages & np.uint64(_PRESENT)) != 0, [0]])))
            found += [(start + first * page, (last - first) * page) for first, last in there.reshape(-1, 2).tolist()]
    return found


def map_again(stretches: list[tuple[int, int]]) -> None:
    """In a fork: have them as the process had that it was forked from. Does nothing on an older kernel."""
    libc = ctypes.CDLL(None)
    for address, size in stretches:
        if libc.madvise(ctypes.c_void_p(address), ctypes.c_size_t(size), _POPULATE_READ) != 0:
            return
