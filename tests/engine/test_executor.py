"""The executor against children that misbehave in every way we know of. Each test ends with no process left."""

from __future__ import annotations

import os
import signal
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.child_output import LOG_BYTES, RECENT_BYTES
from engine.devices import Device
from engine.executor import LocalExecutor
from engine.measurement import RunResult, Status
from tests.engine.processes import CPU, alive, local_executor, processes_under, run_spec_for, wait_for


@pytest.fixture(autouse=True)
def _nothing_left(tmp_path: Path) -> Iterator[None]:
    threads = threading.active_count()
    descriptors = len(os.listdir("/proc/self/fd"))
    yield
    assert processes_under(tmp_path) == []
    assert threading.active_count() == threads
    assert len(os.listdir("/proc/self/fd")) == descriptors


class Started:
    """A run of one mode, with what the tests do to it."""

    def __init__(self, tmp_path: Path, mode: str, device: Device = CPU, executor: LocalExecutor | None = None) -> None:
        self.executor = executor or local_executor()
        self.dir = tmp_path / "runs" / f"{mode}.1"
        self.handle = self.executor.start(run_spec_for(mode), self.dir, device=device)

    def result(self, seconds: float = 60.0) -> RunResult:
        found: RunResult = wait_for(lambda: self.executor.poll(self.handle), seconds)
        return found

    def killed(self) -> RunResult:
        self.executor.kill(self.handle)
        return self.result()

    def reports(self, phase: str = "warm-up: 2 of 3") -> bool:
        return self.executor.read_progress(self.handle) == phase


@pytest.fixture
def run(tmp_path: Path) -> Any:
    return lambda mode, **options: Started(tmp_path, mode, **options).result()


@pytest.fixture
def start(tmp_path: Path) -> Any:
    return lambda mode, **options: Started(tmp_path, mode, **options)


def test_a_normal_run_hands_back_everything(start: Any) -> None:
    started = start("normal")
    result = started.result()
    assert (result.status, result.reason) == (Status.SUCCEEDED, None)
    (measurement,) = result.measurements
    assert (measurement.metric, measurement.point, measurement.samples) == ("load_seconds", {"batch": 1}, (1.0, 2.0, 4.0))
    assert measurement.warmups == (9.0,) and measurement.value == 2.0
    assert result.evidence["float32"]["facts"] == {"layers": 2}
    assert result.environment == {"device": "test"}
    assert result.host_peak_bytes and 2**22 < result.host_peak_bytes < 2**32
    assert result.log_tail == "all is well\n" == (started.dir / "log.txt").read_text()
    assert started.executor.poll(started.handle) is result
    started.executor.kill(started.handle)  # harmless after the end


@pytest.mark.case("T30", "T38")
def test_the_child_sees_an_allowed_environment_only(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "MY_SECRET", "AWS_SECRET_ACCESS_KEY", "LAB_DATA"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("HF_TOKEN", "hf_token_of_mine")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    gpu = Device("cuda:1", "cuda", "a GPU", "here", 2**30, (9, 0), "GPU-1234")
    details = run("environment", device=gpu).details
    seen = details["environment"]
    assert not {"DATABASE_URL", "MY_SECRET", "AWS_SECRET_ACCESS_KEY", "LAB_DATA"} & set(seen)
    assert seen["CUDA_VISIBLE_DEVICES"] == "GPU-1234"
    assert seen["OMP_NUM_THREADS"] == seen["MKL_NUM_THREADS"] == "2"
    assert seen["TOKENIZERS_PARALLELISM"] == "false" and seen["LC_ALL"] == "C.UTF-8"
    assert seen["PYTHONPATH"].split(os.pathsep)[1] == "/somewhere"
    assert seen["HF_TOKEN"] == "hf_***"  # it was there, and what comes back is redacted
    assert details["cwd"].endswith("/environment.1/cwd") and details["cwd_content"] == []
    assert (details["stdin"], details["score"], details["session"]) == ("", "1000", True)


def test_the_folder_of_a_run_is_private_and_fresh(start: Any, tmp_path: Path) -> None:
    old = tmp_path / "runs" / "exit_-0.1"
    (old / "cwd").mkdir(parents=True)
    (old / "results.jsonl").write_text("of a run long ago\n")
    (old / "result.json").write_text('{"status": "succeeded"}')
    started = start("exit_-0")
    result = started.result()
    assert result.reason == "exit 0, no result" and len(result.measurements) == 1
    assert stat.S_IMODE(started.dir.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("abort", "signal 6: about to abort"),
        ("segfault", "signal 11: Fatal Python error: Segmentation fault"),
        ("exit_-0", "exit 0, no result"),
        ("exit_-3", "exit 3, no result: leaving early"),
        ("die_after_result", "exit 5 after it reported succeeded"),
        ("result-truncated", "unreadable result: JSONDecodeError: Unterminated string"),
        ("result-prose", "unreadable result: JSONDecodeError: Expecting value"),
        ("result-list", "unreadable result: TypeError"),
        ("result-unknown", "unreadable result: ValueError: 'splendid' is not a valid Status"),
        ("result-cancelled", "unreadable result: ValueError: status 'cancelled'"),
        ("result-nan", "unreadable result: ValueError: NaN is not a finite number"),
        ("result-infinite", "unreadable result: ValueError: 1e999 is not a finite number"),
        ("result-nested", "unreadable result: RecursionError"),
        ("line-nonsense", "unreadable measurement in line 2: JSONDecodeError"),
        ("line-nan", "unreadable measurement in line 2: ValueError: NaN is not a finite number"),
    ],
)
@pytest.mark.case("T43")
def test_a_broken_end_is_a_failure_with_its_reason_and_keeps_earlier_measurements(run: Any, mode: str, reason: str) -> None:
    result = run(mode)
    assert result.status is Status.FAILED
    assert (result.reason or "").startswith(reason), result.reason
    assert [m.metric for m in result.measurements] == ["load_seconds"]


def test_a_line_cut_off_is_dropped_and_earlier_lines_are_kept(run: Any) -> None:
    result = run("line-truncated")
    assert result.status is Status.SUCCEEDED and [m.value for m in result.measurements] == [2.0]


@pytest.mark.case("T37", "T38")
def test_texts_of_the_child_are_storable_and_redacted(run: Any) -> None:
    result = run("result-nul")
    assert (result.status, result.reason) == (Status.FAILED, "a\ufffdb \ufffd hf_***")
    assert result.details == {"k\ufffd": ["\ufffd"]}


def test_a_command_that_does_not_exist_is_an_error_of_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Started(tmp_path, "normal", executor=LocalExecutor(["/no/such/python"]))
    wait_for(lambda: not any(t.name.startswith("output of") for t in threading.enumerate()))


@pytest.mark.parametrize("mode", ["hang", "stubborn", "deaf"])
@pytest.mark.case("T44")
def test_kill_ends_a_child_that_will_not_end(start: Any, mode: str) -> None:
    started = start(mode)
    wait_for(started.reports)
    assert started.executor.poll(started.handle) is None
    before = time.monotonic()
    result = started.killed()
    assert time.monotonic() - before < 3
    assert (result.status, result.reason) == (Status.FAILED, "signal 9: killed from outside")
    assert len(result.measurements) == 1 and result.host_peak_bytes


@pytest.mark.case("T15")
def test_killed_by_a_person_is_not_out_of_memory(start: Any) -> None:
    started = start("hang")
    wait_for(started.reports)
    os.kill(started.handle.child.pid, signal.SIGKILL)
    result = started.result()
    assert (result.status, result.reason) == (Status.FAILED, "signal 9: killed from outside")


@pytest.mark.case("T14")
def test_killed_by_the_kernel_for_memory_is_out_of_memory(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The counter of the kernel is moved by hand: this machine offers no memory limit to an ordinary test."""
    started = start("hang")
    wait_for(started.reports)
    monkeypatch.setattr("engine.executor.oom_kills", lambda: started.handle.oom_kills + 1)
    os.kill(started.handle.child.pid, signal.SIGKILL)
    result = started.result()
    assert result.status is Status.OUT_OF_MEMORY
    assert result.host_peak_bytes is not None
    assert result.reason == f"host memory: killed by the kernel at {result.host_peak_bytes >> 20} MB"
    assert len(result.measurements) == 1


@pytest.mark.case("T14")
def test_our_own_kill_is_never_out_of_memory(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    started = start("hang")
    wait_for(started.reports)
    monkeypatch.setattr("engine.executor.oom_kills", lambda: started.handle.oom_kills + 1)
    assert started.killed().reason == "signal 9: killed from outside"


@pytest.mark.case("T43")
@pytest.mark.parametrize("megabytes", [50, pytest.param(5_000, marks=pytest.mark.faults)])
def test_a_flood_of_output_is_capped_and_does_not_hold_up_polling(start: Any, megabytes: int) -> None:
    started = start(f"flood-{megabytes}")
    slowest = 0.0
    result = None
    while result is None:
        before = time.monotonic()
        result = started.executor.poll(started.handle)
        slowest = max(slowest, time.monotonic() - before)
        time.sleep(0.01)
    assert slowest < 5.0, "it does not wait for the flood to end"
    assert result.status is Status.SUCCEEDED
    log = (started.dir / "log.txt").read_bytes()
    assert LOG_BYTES - 2 * RECENT_BYTES < len(log) <= LOG_BYTES + RECENT_BYTES + 100
    assert b"bytes left out]\n" in log and log.endswith(b"the last words\n")
    left_out = int(log.rpartition(b" bytes left out]")[0].rpartition(b"[")[2])
    assert left_out + len(log) - len(f"\n[{left_out} bytes left out]\n") == megabytes * 10**6 + len("the last words\n")
    assert len(result.log_tail) == 4000 and result.log_tail.endswith("the last words\n")


@pytest.mark.case("T43", "T38")
def test_binary_output_becomes_valid_text_without_tokens(run: Any) -> None:
    tail = run("binary").log_tail
    assert len(tail) == 4000 and tail.endswith("\nhf_*** and 😀\n")
    assert not set(tail) & {chr(c) for c in range(32) if chr(c) not in "\n\t"}
    tail.encode()


@pytest.mark.parametrize("how", ["normal end", "kill"])
@pytest.mark.case("T10")
def test_grandchildren_in_other_groups_and_sessions_end_with_the_run(start: Any, how: str) -> None:
    started = start("children-hang" if how == "kill" else "children-end")
    pids = [int(p) for p in wait_for(lambda: (started.dir / "pids").exists() and (started.dir / "pids").read_text()).split()]
    result = started.killed() if how == "kill" else started.result()
    assert result.reason == ("signal 9: killed from outside" if how == "kill" else "exit 4, no result")
    assert len(pids) == 3 and not any(alive(pid) for pid in pids)


def test_two_runs_do_not_take_each_others_processes(start: Any, tmp_path: Path) -> None:
    executor = local_executor()
    first = Started(tmp_path, "children-hang", executor=executor)
    pids = [int(p) for p in wait_for(lambda: (first.dir / "pids").exists() and (first.dir / "pids").read_text()).split()]
    assert Started(tmp_path, "normal", executor=executor).result().status is Status.SUCCEEDED
    assert executor.poll(first.handle) is None and all(alive(pid) for pid in pids)
    first.killed()


def test_progress_in_words(start: Any) -> None:
    started = start("hang")
    wait_for(started.reports)
    progress = started.dir / "progress.json"
    for text, words in (
        ('{"phase": "loading", "step": 0, "steps": 0}', "loading"),
        ('{"phase": "a\\u0000b"}', "a\ufffdb"),
        ('{"phase": "' + "x" * 900 + '"}', "x" * 200),
        ('{"phase": "loading", "step": "two"}', None),
        ('{"phase"', None),
        ("[]", None),
        ("3", None),
    ):
        progress.write_text(text)
        assert started.executor.read_progress(started.handle) == words
    progress.unlink()
    assert started.executor.read_progress(started.handle) is None
    started.killed()


def test_start_belongs_to_the_main_thread(tmp_path: Path) -> None:
    errors: list[BaseException] = []

    def elsewhere() -> None:
        try:
            Started(tmp_path, "normal")
        except AssertionError as error:
            errors.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert "main thread" in str(errors[0])
