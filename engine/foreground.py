"""Runs an experiment in this process's foreground, without a database: for GPU machines that have only the worker's packages.

Must not import sqlalchemy, streamlit or db.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from engine import api, settings
from engine.devices import Device, find_device
from engine.executor import Executor, LocalExecutor
from engine.locks import DeviceLock
from engine.looks import answered
from engine.measurement import Status
from engine.record import Record, add_run, new_record
from engine.run_spec import run_spec
from engine.specs import ExperimentSpec, PlannedRun, expand

_POLL_SECONDS = 0.2

Progress = Callable[[int, int, str], None]
"""Called with (runs done, runs in all, what is being done)."""


def run_foreground(
    spec: ExperimentSpec,
    *,
    record: Record | None = None,
    max_seconds: float | None = None,
    progress: Progress = lambda done, total, text: None,
    save: Callable[[Record], None] = lambda record: None,
    executor: Executor | None = None,
) -> Record:
    """Run what is missing of an experiment and return its record; `save` is called before the first and after every run.

    `record`: an earlier, unfinished one of the same spec. max_seconds: no new round begins after that time. Raises ValueError
    before anything is measured where it cannot work.
    """
    device = find_device(spec.device)
    api.check(spec, [device])
    record = new_record(spec) if record is None else record
    _bind(record, spec, device)
    save(record)  # a place that cannot be written is found now, not after hours
    executor = executor or LocalExecutor()
    plan, left = expand(spec), missing(record, spec)
    started = time.monotonic()
    current_round = -1
    for number, planned in enumerate(plan):
        if planned not in left:
            continue
        if planned.round > current_round:
            if max_seconds is not None and current_round >= 0 and time.monotonic() - started > max_seconds:
                break
            if answered(record) is not None:
                break
            current_round = planned.round
        label = f"{spec.variants[planned.variant].name}, {planned.kind.value}, round {planned.round + 1} of {spec.rounds}"
        _run_one(spec, planned, device, executor, record, functools.partial(_say, progress, number, len(plan), label))
        save(record)
    return record


def missing(record: Record, spec: ExperimentSpec) -> list[PlannedRun]:
    """What the record does not hold of the runs that it needs, in the order of execution; nothing where it has its answers early."""
    if answered(record) is not None:
        return []
    done = {(r["variant"], r["round"], r["kind"]) for r in record["runs"]}
    return [p for p in expand(spec) if (p.variant, p.round, p.kind.value) not in done]


def _bind(record: Record, spec: ExperimentSpec, device: Device) -> None:
    """All runs of an experiment are made on one device."""
    experiment = record["experiment"]
    if experiment["spec"] != spec.model_dump(mode="json"):
        raise ValueError("--resume: the bundle holds another experiment; give the spec that it was started with")
    if experiment["bound_device"] not in (None, device.key):
        raise ValueError(f"--resume: the bundle was measured on {experiment['bound_device']}, this is {device.key}")
    experiment["bound_device"] = device.key


def _say(progress: Callable[[int, int, str], None], number: int, total: int, label: str, text: str) -> None:
    progress(number, total, f"{label}: {text}")


def _run_one(
    spec: ExperimentSpec, planned: PlannedRun, device: Device, executor: Executor, record: Record, say: Callable[[str], None]
) -> None:
    lock = DeviceLock(device)
    try:
        while not lock.try_acquire():
            say(f"waiting: {lock.in_use_by()}")
            time.sleep(_POLL_SECONDS)
        started_at, started = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"), time.monotonic()
        folder = settings.runs_dir() / f"{record['experiment']['id']}.{len(record['runs'])}"
        handle = executor.start(run_spec(spec, planned, device), folder, device=device, keep_fds=lock.filenos())
        timed_out = False
        try:
            while (result := executor.poll(handle)) is None:
                if time.monotonic() - started > spec.timeout_seconds:
                    timed_out = True
                    executor.kill(handle)
                say(executor.read_progress(handle) or "starting")
                time.sleep(_POLL_SECONDS)
        except BaseException:  # Ctrl-C too: nothing may be left running
            executor.kill(handle)
            raise
        if timed_out and result.status is Status.FAILED:  # not where it had ended well by itself just before
            result = replace(result, status=Status.TIMED_OUT, reason=f"time limit of {spec.timeout_seconds} s")
        add_run(record, planned, result, device=device.key, seconds=time.monotonic() - started, started_at=started_at)
    finally:
        lock.release()
