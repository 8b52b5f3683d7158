"""One claimed run, from its start until its result stands in the database.

Owns what a scheduler knows about the run, and what it writes about it. Decides nothing about the queue.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from db import queue
from engine import artifacts, disk, logs, redaction, settings
from engine.devices import Device
from engine.executor import Executor
from engine.locks import Lock
from engine.measurement import RunResult, Status
from engine.registry import readable
from engine.run_spec import run_spec
from engine.specs import ExperimentSpec, PlannedRun, RunKind

_log = logs.logger("scheduler")


class LiveRun:
    """Holds the device's lock until `release`. Whatever happens, it ends with exactly one result, or was lost to us."""

    def __init__(self, claim: queue.Claim, device: Device, lock: Lock, executor: Executor, owner: str) -> None:
        self.claim, self._lock, self._executor = claim, lock, executor
        self.result: RunResult | None = None
        self.lost = False
        self._could_not_store = False
        self._ended_by_us: tuple[Status, str] | None = None
        self._time_limit = float("inf")
        self._handle: Any = None
        self._started = self._beaten = time.monotonic()
        self.seconds = 0.0
        try:
            self._start(device, owner)
        except ValidationError as error:
            self._fail(f"could not start: {readable(error)}")
        except Exception as error:  # whatever is wrong with one run must not end the scheduler: it is the run's result
            self._fail(f"could not start: {type(error).__name__}: {error}")

    def _start(self, device: Device, owner: str) -> None:
        claim, runs_dir = self.claim, settings.runs_dir()
        spec = ExperimentSpec.model_validate(claim.spec)
        planned = PlannedRun(claim.variant, claim.round, RunKind(claim.kind))
        runs_dir.mkdir(parents=True, exist_ok=True)
        disk.require_for_a_run(runs_dir)
        folder = runs_dir / f"{claim.run_id}.{claim.attempt}"
        self._handle = self._executor.start(
            run_spec(spec, planned, device), folder, device=device, keep_fds=self._lock.filenos(), owner=owner
        )
        self._time_limit = spec.timeout_seconds

    def _fail(self, reason: str) -> None:
        self.result = RunResult(Status.FAILED, disk.named(redaction.masked(reason)))

    def watch(self) -> None:
        """Notice the end, and end what is over its time. Needs no database."""
        if self.result is not None:
            return
        self.seconds = time.monotonic() - self._started
        result = self._executor.poll(self._handle)
        if result is not None and self._ended_by_us is not None and result.status is Status.FAILED:
            status, reason = self._ended_by_us
            result = replace(result, status=status, reason=reason)
        self.result = result
        if result is None and self.seconds > self._time_limit:
            self.kill(Status.TIMED_OUT, f"time limit of {self._time_limit:g} s")

    def kill(self, status: Status, reason: str) -> None:
        """End it; the first reason given is the one that is written. A run that ended by itself before keeps its own result."""
        if self.result is None and self._ended_by_us is None:
            self._ended_by_us = (status, reason)
            self._executor.kill(self._handle)

    def report(self, db: Engine, beat_seconds: float) -> bool:
        """Write the result, or a sign of life if one is due. True when there is nothing more to do for this run.

        Raises SQLAlchemyError where the database cannot be written now; call again.
        """
        if self.result is not None:
            return self.lost or self._store(db, self.result)
        if time.monotonic() - self._beaten >= beat_seconds and not self.lost:
            phase, tail = self._executor.read_progress(self._handle), self._executor.log_tail(self._handle)
            cancel = queue.beat(db, self.claim, phase=phase, log_tail=tail)
            self._beaten = time.monotonic()
            if cancel is None:
                self.lost = True
                self.kill(Status.FAILED, "lost")
            elif cancel:
                self.kill(Status.CANCELLED, "cancelled on request")
        return False

    def _store(self, db: Engine, result: RunResult) -> bool:
        try:
            queue.finish(
                db, self.claim, status=result.status.value, reason=result.reason,
                measurements=[m.to_json() for m in result.measurements], evidence=result.evidence, details=result.details,
                environment=result.environment or None, host_peak_bytes=result.host_peak_bytes, log_tail=result.log_tail,
                seconds=self.seconds,
            )  # fmt: skip
        except (SQLAlchemyError, ValueError, TypeError, ArithmeticError) as error:
            if is_passing(error):
                raise
            if self._could_not_store:  # nothing that we write is accepted: the lease ends it
                _log.error(f"run {self.claim.run_id} could not be recorded: {error}")
                return True
            self._could_not_store = True
            self._fail(f"the result could not be stored: {type(error).__name__}: {str(error)[:300]}")
            return False
        if result.details.get("profile"):
            artifacts.publish_soon(result.details)
        return True  # also where it was no longer ours: a fenced write changes nothing

    def release(self) -> None:
        """Give up the device. A process of the run that is still alive keeps it reserved."""
        self._lock.release()


def is_passing(error: BaseException) -> bool:
    """Trouble of the database (locked, full, down) that calls for another try, not trouble with what is written."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(error, (OperationalError, InterfaceError, PoolTimeoutError))
