"""What a container grants of this machine: CPU time and memory by its control groups, versions 1 and 2.

Reads files only. A figure is None where nothing limits it or the files cannot be read: then the machine itself is the limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

CONTROL_GROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def cpu_limit() -> float | None:
    """CPUs' worth of time, a fraction where it is one."""
    found = [_ratio(text) for text in _read_all("cpu", "cpu.max")]
    for folder in _folders("cpu"):  # version 1 has its two figures in two files
        found.append(_ratio(f"{_text(folder / 'cpu.cfs_quota_us')} {_text(folder / 'cpu.cfs_period_us')}"))
    return min((f for f in found if f is not None), default=None)


def memory_limit() -> int | None:
    """Bytes. Version 1 writes a number near 2**63 where there is no limit, which is no smaller than any machine."""
    texts = [*_read_all("memory", "memory.max"), *_read_all("memory", "memory.limit_in_bytes")]
    return min((int(text) for text in texts if text.isdigit()), default=None)


def _ratio(text: str) -> float | None:
    """'150000 100000' is 1.5; 'max 100000', '-1 100000' and nothing are no limit."""
    quota, _, period = text.partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) > 0 else None


def _read_all(controller: str, name: str) -> list[str]:
    return [_text(folder / name) for folder in _folders(controller)]


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _folders(controller: str) -> Iterator[Path]:
    """Our group and all above it: each of them limits us. Inside a container the path may be that of the host, of which only
    the top is to be seen."""
    for line in _text(MEMBERSHIP).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        folder = CONTROL_GROUPS / controller if controllers else CONTROL_GROUPS  # version 2 has one tree for all
        yield folder
        for part in PurePosixPath(path).parts:
            if part not in ("/", ".."):
                folder /= part
                yield folder
