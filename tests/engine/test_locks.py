"""Locks hold across processes, end with their holders, and are inherited by children."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.devices import Device
from engine.locks import DeviceLock, SchedulerLock
from engine.settings import REPOSITORY, locks_dir
from tests.engine.processes import CPU, processes_under, wait_for

HOLD = """
import sys, time
from engine.devices import Device
from engine.locks import DeviceLock
lock = DeviceLock(Device(sys.argv[1], sys.argv[1].partition(":")[0], "a device", "here", 2**30))
print(lock.try_acquire("run 7.1"), flush=True)
time.sleep(600)
"""

BOTH = Device("cuda:all", "cuda", "2 GPUs", "here", 2**31, members=("cuda:1", "cuda:0"))
GPUS = [Device(f"cuda:{i}", "cuda", "a GPU", "here", 2**30) for i in range(3)]


@contextlib.contextmanager
def held(device: str, took: bool = True) -> Iterator[subprocess.Popen[str]]:
    """Another process that has a device, or waits for it."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, device], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        try:
            assert process.stdout.readline() == f"{took}\n"
            yield process
        finally:
            process.kill()
            process.wait()


@pytest.fixture
def holder() -> Iterator[subprocess.Popen[str]]:
    with held("cpu") as process:
        yield process


@pytest.mark.case("T12")
def test_another_process_waits_and_can_say_for_whom(holder: subprocess.Popen[str]) -> None:
    lock = DeviceLock(CPU)
    assert not lock.try_acquire()
    assert lock.in_use_by() == f"cpu is in use by pid {holder.pid} (run 7.1)"


def test_a_killed_holder_leaves_no_lock(holder: subprocess.Popen[str]) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    lock = DeviceLock(CPU)
    assert lock.try_acquire()
    lock.release()


def test_released_means_free() -> None:
    first, second = DeviceLock(CPU), DeviceLock(CPU)
    assert first.try_acquire("one") and not second.try_acquire()
    first.release()
    first.release()  # harmless
    assert second.try_acquire("two")
    assert f"pid {os.getpid()} (two)" in first.in_use_by()
    second.release()


def test_gpus_share_the_machine_and_a_cpu_run_has_it_alone() -> None:
    first, second, cpu = DeviceLock(GPUS[0]), DeviceLock(GPUS[1]), DeviceLock(CPU)
    with held("cuda:2"):
        assert first.try_acquire() and second.try_acquire()
        assert not cpu.try_acquire()
        assert cpu.in_use_by().startswith("cpu waits for runs on other devices")
        first.release()
        second.release()
        assert not cpu.try_acquire(), "the GPU of another process is still measured on"
    assert cpu.try_acquire()
    assert not first.try_acquire()
    cpu.release()
    assert first.try_acquire()
    first.release()


@pytest.mark.parametrize("one", [0, 1])
def test_two_gpus_together_and_each_of_them_exclude_each_other(one: int) -> None:
    both, single, third = DeviceLock(BOTH), DeviceLock(GPUS[one]), DeviceLock(GPUS[2])
    assert single.try_acquire("run 1.1") and not both.try_acquire()
    assert both.in_use_by() == f"cuda:{one} is in use by pid {os.getpid()} (run 1.1)"
    assert third.try_acquire(), "which is none of the two"
    single.release()
    assert both.try_acquire("run 2.1") and len(both.filenos()) == 3
    assert not single.try_acquire() and single.in_use_by().endswith("(run 2.1)")
    both.release()
    assert single.try_acquire()
    single.release()
    third.release()


def test_who_waits_for_two_gpus_keeps_the_first_and_nobody_waits_in_a_circle() -> None:
    second, both, rival, first = DeviceLock(GPUS[1]), DeviceLock(BOTH), DeviceLock(BOTH), DeviceLock(GPUS[0])
    assert second.try_acquire() and not both.try_acquire() and not rival.try_acquire()
    assert not first.try_acquire(), "kept for the one that waits"
    second.release()
    assert not rival.try_acquire(), "it has taken nothing that the other waits for"
    assert both.try_acquire()
    both.release()
    assert rival.try_acquire()
    rival.release()


def test_a_gpu_waits_for_the_cpu_run_of_another_process() -> None:
    gpu = DeviceLock(GPUS[0])
    with held("cpu"):
        assert not gpu.try_acquire()
        assert gpu.in_use_by().startswith("cuda:0 waits for runs on other devices")
    assert gpu.try_acquire()
    gpu.release()


def test_who_waits_for_the_machine_is_not_overtaken() -> None:
    running, cpu, later = DeviceLock(GPUS[0]), DeviceLock(CPU), DeviceLock(GPUS[1])
    assert running.try_acquire()
    assert not cpu.try_acquire()
    assert not later.try_acquire(), "it could run beside the other GPU, but the CPU run would then never begin"
    running.release()
    assert not later.try_acquire()
    assert cpu.try_acquire()
    assert not later.try_acquire() and not running.try_acquire(), "and the CPU run is not disturbed"
    assert DeviceLock(CPU).try_acquire() is False
    cpu.release()
    assert later.try_acquire() and running.try_acquire()
    later.release()
    running.release()


@pytest.mark.parametrize("how", ["gives up", "dies"])
def test_who_waits_no_longer_holds_up_nobody(how: str) -> None:
    running, later = DeviceLock(GPUS[0]), DeviceLock(GPUS[1])
    assert running.try_acquire()
    if how == "dies":
        with held("cpu", took=False):
            assert not later.try_acquire()
    else:
        cpu = DeviceLock(CPU)
        assert not cpu.try_acquire() and not later.try_acquire()
        cpu.release()
    assert later.try_acquire()
    later.release()
    running.release()


@pytest.mark.parametrize(("inherited", "waiting"), [(CPU, GPUS[0]), (GPUS[0], CPU)], ids=lambda d: d.id)
def test_a_child_that_inherited_the_machine_keeps_it_reserved(inherited: Device, waiting: Device, tmp_path: Path) -> None:
    lock, other = DeviceLock(inherited), DeviceLock(waiting)
    assert lock.try_acquire()
    child = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE, pass_fds=lock.filenos(), cwd=tmp_path
    )
    lock.release()
    assert not other.try_acquire()
    child.communicate()
    assert wait_for(other.try_acquire)
    other.release()


@pytest.mark.case("T12")
def test_a_child_that_inherited_the_lock_keeps_the_device_reserved(tmp_path: Path) -> None:
    lock, other = DeviceLock(CPU), DeviceLock(CPU)
    assert lock.try_acquire()
    child = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE, pass_fds=lock.filenos(), cwd=tmp_path
    )
    lock.note_holder(child.pid, "run 8.1")
    lock.release()
    assert not other.try_acquire()
    assert other.in_use_by() == f"cpu is in use by pid {child.pid} (run 8.1)"
    child.communicate()
    assert wait_for(other.try_acquire)
    other.release()
    assert processes_under(tmp_path) == []


def test_the_folder_is_ours_alone() -> None:
    locks_dir().mkdir(mode=0o755)
    lock = DeviceLock(CPU)
    assert lock.try_acquire()
    assert locks_dir().stat().st_mode & 0o777 == 0o700
    assert (locks_dir() / "cpu.lock").stat().st_mode & 0o777 == 0o600
    lock.release()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    lock = DeviceLock(CPU)
    (locks_dir() / "cpu.lock").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        lock.try_acquire()
    assert victim.read_text() == "precious"


def test_a_folder_that_is_a_link_or_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    monkeypatch.setattr("engine.locks.locks_dir", lambda: tmp_path / "link")
    with pytest.raises(ValueError, match="LAB_LOCKS: .* belongs to somebody else"):
        DeviceLock(CPU)
    monkeypatch.setattr("engine.locks.locks_dir", lambda: tmp_path / "elsewhere")
    monkeypatch.setattr("os.getuid", lambda: 4711)
    with pytest.raises(ValueError, match="LAB_LOCKS: .* belongs to somebody else"):
        DeviceLock(CPU)


def test_a_scheduler_learns_whom_it_succeeds() -> None:
    first, second, third = SchedulerLock(), SchedulerLock(), SchedulerLock()
    assert first.take_over() == ""
    first.sign("first-id")
    assert second.take_over() is None
    first.release()
    assert third.take_over() == "first-id"
    third.release()
