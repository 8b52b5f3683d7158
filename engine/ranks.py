"""The ranks of a run: processes of one group, each of which trains on its share of every batch.

Owns how torchrun's launcher starts them, who a process is among them, what they tell each other, and whose reason counts
when they fail. Measures nothing. Imports torch in functions only: a run that is unsupported ends without it.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine import child_result
from engine.child_process import PARENT_VARIABLE, oom_kills
from engine.measurement import RunResult, Status
from engine.technique import Ranks


def folder(run_dir: Path, rank: int) -> Path:
    """Where a rank leaves its own result, and all but the first their measurements."""
    return run_dir / "ranks" / str(rank)


def this_rank() -> Ranks | None:
    """Who this process is among those that torchrun started; None in any other process."""
    rank = os.environ.get("RANK")
    return None if rank is None else Ranks(int(rank), int(os.environ["WORLD_SIZE"]), _gather)


def _gather(value: Any) -> list[Any]:
    import torch.distributed

    found: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(found, value)
    return found


def join(device: str) -> None:
    """Join the group. device: "cpu" or "cuda". On GPUs tensors go by NCCL; what is said about them by gloo, so that it takes
    no GPU memory."""
    import torch

    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group("cpu:gloo,cuda:nccl" if device == "cuda" else "gloo")


def leave(whole: bool) -> None:
    """The last thing that a rank does. whole: it has done all that was asked of it.

    One that has not ends with an error at once: torchrun then ends the others, which may wait for it for ever, as it might for
    them while it took its side of the group down.
    """
    import torch.distributed

    if not whole:
        os._exit(1)
    torch.distributed.destroy_process_group()


def launch(run_dir: Path, count: int, threads: int) -> RunResult:
    """Run the command of this process again as `count` ranks, and wait until all have ended: once one of them fails, at once.

    threads: CPU threads of each. Returns what rank 0 reports, or the rank that failed first. To be called from the main
    thread: the kernel ends the ranks when it ends.
    """
    from torch.distributed.elastic.multiprocessing.api import DefaultLogsSpecs
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    # one machine only: they speak over the loopback interface, whatever the machine's name resolves to
    network = dict.fromkeys(("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"), "lo")
    own_threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    os.environ |= network | own_threads | {PARENT_VARIABLE: str(os.getpid())}
    for rank in range(count):
        folder(run_dir, rank).mkdir(parents=True)
    config = LaunchConfig(
        min_nodes=1, max_nodes=1, nproc_per_node=count, run_id="run", rdzv_backend="c10d", rdzv_endpoint="localhost:0",
        local_addr="127.0.0.1", max_restarts=0, monitor_interval=0.1, logs_specs=DefaultLogsSpecs(log_dir=os.devnull),
    )  # fmt: skip
    killed_before = oom_kills()
    try:
        elastic_launch(config, sys.executable)(*sys.orig_argv[1:])
    except ChildFailedError as error:
        codes = {rank: failure.exitcode for rank, failure in error.failures.items()}
        return outcome(run_dir, first_to_fail(run_dir, codes), count, codes, out_of_memory=oom_kills() > killed_before)
    return outcome(run_dir, 0, count, {}, out_of_memory=False)


def first_to_fail(run_dir: Path, codes: Mapping[int, int]) -> int:
    """The rank whose end is the reason of the others' ends.

    codes: of all that failed, those ended by torchrun included. A rank that left no report died before it could: others may
    have reported since that they lost it.
    """
    by_themselves = [rank for rank, code in codes.items() if code != -signal.SIGTERM] or list(codes)
    reports = {rank: folder(run_dir, rank) / child_result.RESULT for rank in by_themselves}
    silent = [rank for rank, report in reports.items() if not report.exists()]
    return silent[0] if silent else min(reports, key=lambda rank: reports[rank].stat().st_mtime_ns)


def outcome(run_dir: Path, rank: int, count: int, codes: Mapping[int, int], *, out_of_memory: bool) -> RunResult:
    """What a rank left in its folder, as the run's result; a reason names the rank, where there are several.

    codes: exit codes of those that failed. out_of_memory: the kernel has killed a process for memory meanwhile.
    """
    own, code = folder(run_dir, rank), codes.get(rank, 0)
    if code > 0 and (own / child_result.RESULT).exists():
        code = 0  # it left with an error because of what it has reported
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    found = child_result.read_result(
        own, code, out_of_memory=out_of_memory, host_peak_bytes=peak, log_tail=""
    )
    _keep_failures(run_dir, found)
    name = f"rank {rank}: " if count > 1 else ""
    reason = None if found.reason is None else name + found.reason
    return RunResult(found.status, reason, (), found.evidence, found.environment, found.details)


def _keep_failures(run_dir: Path, found: RunResult) -> None:
    """Write the points that did not fit into a rank's memory to the run's own measurements, where rank 0 has not.

    It may have been ended while it wrote, so that its last line is cut off: the file is written anew.
    """
    kept = child_result.read_result(run_dir, 0, out_of_memory=False, host_peak_bytes=0, log_tail="").measurements
    known = [(m.metric, m.point) for m in kept]
    missing = [m for m in found.measurements if m.status is Status.OUT_OF_MEMORY and (m.metric, m.point) not in known]
    if missing:
        lines = [json.dumps(m.to_json(), allow_nan=False) + "\n" for m in (*kept, *missing)]
        temporary = run_dir / f"{child_result.RESULTS}.tmp"
        temporary.write_text("".join(lines))
        temporary.replace(run_dir / child_result.RESULTS)
