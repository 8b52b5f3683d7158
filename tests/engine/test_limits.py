"""What a container grants, read from control groups of both versions as the kernel writes them."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from engine import devices, limits


class Groups:
    """Control groups made of files."""

    def __init__(self, root: Path, membership: Path) -> None:
        self.root, self.membership = root, membership

    def write(self, membership: str, files: dict[str, str]) -> None:
        self.membership.write_text(membership)
        for name, text in files.items():
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_text(text + "\n")


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Groups:
    monkeypatch.setattr(limits, "CONTROL_GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(limits, "MEMBERSHIP", tmp_path / "membership")
    return Groups(tmp_path / "cgroup", tmp_path / "membership")


@pytest.mark.parametrize(("membership", "files", "cpus", "memory"), [
    ("0::/\n", {"cpu.max": "150000 100000", "memory.max": "1073741824"}, 1.5, 2**30),
    ("0::/\n", {"cpu.max": "max 100000", "memory.max": "max"}, None, None),
    ("0::/a/b\n", {"a/cpu.max": "50000 100000", "a/b/cpu.max": "max 100000", "a/memory.max": "5", "a/b/memory.max": "7"}, 0.5, 5),
    ("0::/../../host\n", {"cpu.max": "200000 100000"}, 2.0, None),
    ("4:memory:/d/x\n3:cpu,cpuacct:/d/x\n",
     {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000", "cpu/d/x/cpu.cfs_quota_us": "250000",
      "cpu/d/x/cpu.cfs_period_us": "100000", "memory/memory.limit_in_bytes": "9223372036854771712",
      "memory/d/x/memory.limit_in_bytes": "1024"}, 2.5, 1024),
    ("3:cpu:/docker/of-the-host\n", {"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 3.0, None),
    ("5:cpuset:/\n0::/\n", {"cpuset/cpu.cfs_quota_us": "1", "cpuset/cpu.cfs_period_us": "1"}, None, None),
    ("", {}, None, None),
])  # fmt: skip
def test_the_narrowest_limit_counts(
    groups: Groups, membership: str, files: dict[str, str], cpus: float | None, memory: int | None
) -> None:
    groups.write(membership, files)
    assert (limits.cpu_limit(), limits.memory_limit()) == (cpus, memory)


def test_the_cpu_is_what_may_be_used_of_it(groups: Groups, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    total = psutil.virtual_memory().total
    groups.write("0::/\n", {"cpu.max": "250000 100000", "memory.max": str(2**20)})
    assert (devices.usable_cpus(), devices.usable_memory()) == (3, 2**20)
    groups.write("0::/\n", {"cpu.max": "10000 100000", "memory.max": str(2**62)})
    assert (devices.usable_cpus(), devices.usable_memory()) == (1, total)
    groups.write("0::/\n", {"cpu.max": "6400000 100000"})
    assert devices.usable_cpus() == 8
    groups.write("0::/\n", {"memory.max": str(2**20)})
    devices.local_devices.cache_clear()
    try:
        assert devices.find_device("cpu").memory_bytes == 2**20
    finally:
        devices.local_devices.cache_clear()
