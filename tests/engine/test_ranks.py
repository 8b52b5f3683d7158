"""Runs that are spread over ranks, by the real worker: what is written by whom, and what happens when one rank fails."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.devices import find_device
from engine.executor import Handle, LocalExecutor
from engine.measurement import RunResult, Status
from engine.presets import parse_spec
from engine.ranks import first_to_fail, folder, outcome
from engine.registry import discover
from engine.run_spec import run_spec
from engine.specs import PlannedRun, RunKind
from tests.engine.processes import alive, processes_under, wait_for
from tests.engine.test_worker import by_name, worker_after

SMALL = {"seq_len": 16, "batch_sizes": [4], "steps": 2, "warmups": 1, "quality_steps": 2, "quality_tokens": 256, "quality_context": 128}
FOR_EVER = {"steps": 10_000}

_STEP = """
import os, time
from engine.training import Training
real = Training.step
def step(self, batches, marks=None):
    if os.environ.get("RANK") == "1" and batches[0].shape[0] >= {sequences}:
        {what}
    return real(self, batches, marks)
Training.step = step
"""


@pytest.fixture(autouse=True)
def _here(tiny_model_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("LAB_MODELS", str(tiny_model_root))
    yield
    assert processes_under(tmp_path) == []


def second_rank(what: str, sequences: int = 1) -> LocalExecutor:
    """Real workers; in the second rank, training steps on so many sequences begin with this statement."""
    return LocalExecutor(worker_after(f"exec({_STEP.format(what=what, sequences=sequences)!r})"))


class Started:
    """A run of two ranks."""

    def __init__(self, tmp_path: Path, technique: str, executor: LocalExecutor | None = None, kind: RunKind = RunKind.SPEED, **options: Any) -> None:
        self.executor, cpu = executor or LocalExecutor(), find_device("cpu")
        spec = parse_spec({
            "title": "t", "model": "local:tiny", "baseline": "float32", "variants": ["float32", technique], "threads": 2,
            "workload": {"name": "training_step", "options": SMALL | options},
        })  # fmt: skip
        self.dir = tmp_path / "run"
        self.handle: Handle = self.executor.start(run_spec(spec, PlannedRun(1, 0, kind), cpu), self.dir, device=cpu)

    def ranks(self) -> list[int]:
        """Pids of both ranks once they are there."""

        def found() -> list[int] | None:
            assert self.executor.poll(self.handle) is None
            children = psutil.Process(self.handle.child.pid).children() if self.handle.child.pid else []
            return [child.pid for child in children] if len(children) == 2 else None

        pids: list[int] = wait_for(found, 120)
        return pids

    def measuring(self) -> None:
        wait_for(lambda: (self.executor.read_progress(self.handle) or "").startswith("measuring"), 240)

    def result(self, seconds: float = 240) -> RunResult:
        found: RunResult = wait_for(lambda: self.executor.poll(self.handle), seconds)
        return found


def test_a_speed_run_has_one_row_of_numbers_for_all_ranks(tmp_path: Path) -> None:
    result = Started(tmp_path, "fsdp").result()
    assert (result.status, result.reason) == (Status.SUCCEEDED, None), result.log_tail
    found = by_name(result)
    assert len(found) == len(result.measurements), "each metric once, though two processes measured"
    assert set(discover().workload("training_step").metrics) - {"adapter_bytes", "energy_joules_per_training_token"} <= set(found), "no adapter, no GPU"
    of_ranks = result.details["bytes_by_rank"]["4"]
    peaks = [rank["peak_memory_bytes"] for rank in of_ranks]
    assert len(peaks) == 2 and found["peak_memory_bytes"].value == max(peaks)
    assert found["peak_memory_all_ranks_bytes"].value == sum(peaks)
    # AdamW keeps two float32 numbers for each of a rank's half of the parameters, and a step count for each tensor
    parameters, tensors = found["total_parameters"].value, 2 * 9 + 3
    assert parameters and found["optimizer_state_bytes"].value == pytest.approx(8 * parameters / 2 + 4 * tensors, rel=0.01)
    assert found["peak_optimizer_bytes"].value == pytest.approx(found["optimizer_state_bytes"].value, rel=0.01)
    assert result.details["group"] == {"processes": 2, "threads_of_each": 1}
    assert result.environment["threads"] == 2 and result.evidence["fsdp"]["problem"] is None
    assert "cpu_share_of_others" in result.details


def test_a_quality_run_trains_as_one_process_does(tmp_path: Path, own_data: Path) -> None:
    """The baseline's logits are not there: the first rank trains it alone, and writes them."""
    result = Started(tmp_path, "fsdp", kind=RunKind.QUALITY, learning_rate=1e-2).result()
    assert (result.status, result.reason) == (Status.SUCCEEDED, None), result.log_tail
    found = by_name(result)
    assert len(found) == len(result.measurements)
    assert found["kl_divergence"].value == pytest.approx(0, abs=1e-4)
    before, after = found["perplexity_before_training"].value, found["perplexity"].value
    assert before and after and after < before
    assert len(list((own_data / "artifacts").iterdir())) == 1, "one file, and nothing half written beside it"


def test_a_rank_that_is_killed_ends_the_run_with_its_name(tmp_path: Path) -> None:
    run = Started(tmp_path, "ddp", **FOR_EVER)
    run.measuring()
    victim = next(pid for pid in run.ranks() if psutil.Process(pid).environ()["RANK"] == "1")
    os.kill(victim, signal.SIGKILL)
    result = run.result(30)  # a promise
    assert (result.status, result.reason) == (Status.FAILED, "rank 1: signal 9: killed from outside")


def test_a_rank_that_raises_ends_the_run_with_its_reason(tmp_path: Path) -> None:
    result = Started(tmp_path, "fsdp", second_rank('raise ValueError("the second has had enough")'), **FOR_EVER).result()
    assert (result.status, result.reason) == (Status.FAILED, "rank 1: ValueError: the second has had enough")


def test_a_rank_that_leaves_without_a_word_is_named(tmp_path: Path) -> None:
    """Before it has joined the others, who wait for it."""
    executor = LocalExecutor(worker_after("import os; os.environ.get('RANK') == '1' and os._exit(7)"))
    result = Started(tmp_path, "ddp", executor).result()
    assert (result.status, result.reason) == (Status.FAILED, "rank 1: exit 7, no result")


def test_out_of_memory_in_one_rank_is_a_point_and_keeps_the_smaller_ones(tmp_path: Path) -> None:
    """A real refusal of the allocator; the other rank waits for this one's gradients meanwhile."""
    result = Started(tmp_path, "ddp", second_rank("import torch; torch.empty(2**46)", sequences=4), batch_sizes=[4, 8, 16]).result()
    assert (result.status, result.reason) == (Status.SUCCEEDED, None), result.log_tail
    speeds = {m.point["batch"]: m for m in result.measurements if m.metric == "training_tokens_per_second"}
    assert [speeds[batch].status for batch in (4, 8, 16)] == [Status.SUCCEEDED, Status.OUT_OF_MEMORY, Status.OUT_OF_MEMORY]
    assert "can't allocate memory" in (speeds[8].reason or "") and speeds[16].reason == "not tried: batch 8 did not fit"
    rows = [(m.metric, tuple(m.point.items())) for m in result.measurements]
    assert len(rows) == len(set(rows))
    assert result.evidence["ddp"]["problem"] is None and result.environment["packages"]["torch"]


@pytest.mark.parametrize("how", ["kill of the run", "kill -9 of the worker"])
@pytest.mark.case("T10")
def test_no_rank_outlives_the_run(tmp_path: Path, how: str) -> None:
    run = Started(tmp_path, "ddp", **FOR_EVER)
    pids = run.ranks()
    if how == "kill of the run":
        run.executor.kill(run.handle)
    else:
        os.kill(run.handle.child.pid, signal.SIGKILL)
        wait_for(lambda: not any(map(alive, pids)), 60)  # by themselves: nobody has looked after the run yet
    assert run.result(60).status is Status.FAILED
    assert not any(map(alive, pids))


def test_what_ranks_cannot_share_is_refused_before_any_starts(tmp_path: Path) -> None:
    result = Started(tmp_path, "ddp", batch_sizes=[3]).result(60)
    assert result.status is Status.UNSUPPORTED
    assert (result.reason or "").startswith("ddp: batch_sizes: 3 sequences")
    assert not (tmp_path / "run" / "ranks").exists()


def ended(tmp_path: Path, **reports: str) -> Path:
    """A run's folder after its ranks have ended. reports: reason of each that left one, in the order of writing."""
    for rank in ("r0", "r1", "r2"):
        folder(tmp_path, int(rank[1:])).mkdir(parents=True)
    for when, (rank, reason) in enumerate(reports.items()):
        path = folder(tmp_path, int(rank[1:])) / "result.json"
        path.write_text(json.dumps({"status": "failed", "reason": reason}))
        os.utime(path, (1_000 + when, 1_000 + when))
    return tmp_path


@pytest.mark.parametrize(("codes", "reports", "blamed"), [
    ({0: 1, 1: 1}, {"r1": "a fault", "r0": "connection closed by peer"}, 1),
    ({0: 1, 1: -9}, {"r0": "connection closed by peer"}, 1),
    ({0: 1, 1: -signal.SIGTERM, 2: -signal.SIGTERM}, {"r0": "a fault"}, 0),
    ({0: -signal.SIGTERM, 1: 1}, {"r0": "written while it was being ended", "r1": "a fault"}, 1),
    ({0: -signal.SIGTERM, 1: -signal.SIGTERM}, {}, 0),
])  # fmt: skip
def test_the_first_to_fail_is_blamed_not_those_who_lost_it(
    tmp_path: Path, codes: dict[int, int], reports: dict[str, str], blamed: int
) -> None:
    assert first_to_fail(ended(tmp_path, **reports), codes) == blamed


def test_a_rank_that_the_kernel_killed_for_memory_is_out_of_memory(tmp_path: Path) -> None:
    result = outcome(ended(tmp_path), 1, 3, {1: -9}, out_of_memory=True)
    assert result.status is Status.OUT_OF_MEMORY and (result.reason or "").startswith("rank 1: host memory: killed by the kernel")


def test_one_rank_alone_needs_no_name(tmp_path: Path) -> None:
    assert outcome(ended(tmp_path, r0="a fault"), 0, 1, {0: 1}, out_of_memory=False).reason == "a fault"
