"""The loop that claims queued runs for the devices of this machine, and keeps claims and processes in step.

A claimed run is started at most once per attempt and never silently lost. Liveness is a counter in the database: no clocks
are compared. Must not import torch, and must not compute beside a measurement.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from db import liveness, queue
from engine import api, caches, logs, settings
from engine.child_process import adopt_orphans, kill_marked
from engine.devices import Device, local_devices
from engine.executor import Executor, LocalExecutor
from engine.live_run import LiveRun, is_passing
from engine.locks import DeviceLock, Lock, SchedulerLock
from engine.measurement import Status
from engine.specs import looks

_log = logs.logger("scheduler")

PAUSE_SECONDS = 0.2
BEAT_SECONDS = 1.0
LEASE_SECONDS = 10.0
"""A run whose counter has not moved for so long is lost."""


def serve(db: Engine) -> None:
    """Run what is queued on this machine's devices, or on a cluster's, until SIGTERM or Ctrl-C. For a process of its own."""
    settings.check_log_format()
    if freed := caches.keep_within(settings.cache_limit()):  # now, because no run of ours has begun
        _log.warning(f"{freed / 10**9:.1f} GB of the oldest exports made room (LAB_CACHE_LIMIT)")
    adopt_orphans()
    if address := settings.ray_address():
        from engine.cluster.serving import serve_cluster  # not at the top: most have no cluster

        serve_cluster(db, address)
        return
    with stop_signals() as stopped:
        Scheduler.for_this_machine(db).run_forever(stopped)


class Scheduler:
    """Runs what is queued on the given devices of one machine, one run per device, CPU and GPU runs never at once.

    availability: {device id: {technique: reason or None}}, published for the page. locks: how a device is held; this machine's
    file locks where not given. Methods belong to the main thread.
    """

    def __init__(
        self, db: Engine, executor: Executor, devices: Sequence[Device], availability: Mapping[str, Any] | None = None, *,
        locks: Callable[[Device], Lock] = DeviceLock, lease: float = LEASE_SECONDS, beat: float = BEAT_SECONDS, pause: float = PAUSE_SECONDS,
    ) -> None:  # fmt: skip
        self.id = secrets.token_hex(16)
        # what is several GPUs together asks first, or each of them would be given away again as soon as it is free
        self._db, self._executor, self._devices = db, executor, tuple(sorted(devices, key=lambda d: -len(d.members)))
        self._availability = dict(availability or {})
        self._beat_seconds, self._pause = beat, pause
        self._reaper = liveness.Reaper(db, lease)
        self._lock = SchedulerLock()
        self._locks = {device: locks(device) for device in self._devices}
        self._predecessor: str | None = None
        self._beaten: float | None = None
        self._live: dict[Device, LiveRun] = {}
        self._ask_again = dict.fromkeys(self._devices, 0.0)
        self._claiming = True
        self._said = ""

    @classmethod
    def for_this_machine(cls, db: Engine) -> Scheduler:
        devices = local_devices()
        return cls(db, LocalExecutor(), devices, api.availability(devices))

    def run_forever(self, stop: Callable[[], bool]) -> None:
        """Until `stop()`. Live runs are then ended and recorded as failed: running them again is the user's decision."""
        self.begin()
        try:
            while not stop():
                self.turn()
                time.sleep(self._pause)
        finally:
            self.end()

    def run_until_idle(self, experiment_id: str, say: Callable[[str], None] = lambda text: None) -> None:
        """Until every run of one experiment has ended; older runs in the queue come first.

        say: called with what is being done. Ctrl-C and SIGTERM stop it as they stop `serve`, then raise KeyboardInterrupt.
        """
        with stop_signals() as stopped:
            asked = 0.0

            def stop() -> bool:
                nonlocal asked
                if self._claiming and time.monotonic() - asked >= self._beat_seconds:
                    asked = time.monotonic()
                    with self._tolerating_trouble():
                        self._claiming = _goes_on(self._db, experiment_id, say)
                return stopped() or not (self._claiming or self._live)

            self.run_forever(stop)
            if stopped():
                raise KeyboardInterrupt

    def begin(self) -> None:
        """Before the first turn."""
        self._predecessor = self._lock.take_over()
        _log.info("started", extra={"scheduler": self.id, "devices": [d.id for d in self._devices]})

    def turn(self, *, claim: bool = True) -> None:
        """What is to be done now, without waiting: call it every PAUSE_SECONDS. claim: whether new runs may begin.

        Look after the processes first: that needs no database, and must not wait for one that is locked.
        """
        for run in self._live.values():
            run.watch()
        with self._tolerating_trouble():
            self._show_life()
        for device, run in list(self._live.items()):
            with self._tolerating_trouble():
                if run.report(self._db, self._beat_seconds):
                    _log.info("run lost" if run.lost else "run ended", extra=_facts(run.claim) | _end(run))
                    self._drop(device)
                    self._look(run.claim)
        for device in self._devices if claim and self._claiming else ():
            if device not in self._live and time.monotonic() >= self._ask_again[device]:
                with self._tolerating_trouble():
                    self._claim(device)

    def _show_life(self) -> None:
        """Take over from a dead scheduler, announce ourselves, beat, and look for runs whose scheduler died."""
        if self._predecessor:
            kill_marked(f"{self._predecessor}/")
            liveness.fail_owned(self._db, self._predecessor, "the scheduler was restarted")
        if self._predecessor is not None:
            self._lock.sign(self.id)
            self._predecessor = None
        now = time.monotonic()
        if self._beaten is not None and now - self._beaten < self._beat_seconds:
            return
        if self._beaten is None or not liveness.beat_scheduler(self._db, self.id):
            devices = [d.to_json() for d in self._devices]
            liveness.announce(
                self._db, self.id, machine=self._devices[0].machine, pid=os.getpid(), devices=devices, availability=self._availability
            )
        self._beaten = now
        self._reaper.tick()

    def _claim(self, device: Device) -> None:
        """Start the next run for a free device. A device with nothing to do asks again after a while, not in every loop."""
        self._ask_again[device] = time.monotonic() + self._beat_seconds
        offer, lock, waits = queue.Offer(device.key, device.requests), self._locks[device], False
        try:
            if not queue.has_work(self._db, offer):
                return
            if waits := not lock.try_acquire():
                self._say(lock.in_use_by())
                return
            claim = queue.claim(self._db, self.id, offer)
            if claim is None:
                return
            lock.note_holder(os.getpid(), f"run {claim.run_id}.{claim.attempt}")
            self._live[device] = LiveRun(claim, device, lock, self._executor, self.id)
            _log.info("run started", extra={**_facts(claim), "device": device.id})
        finally:
            if device not in self._live and not waits:  # what waits keeps its place
                lock.release()

    def _drop(self, device: Device) -> None:
        self._live.pop(device).release()
        self._ask_again = dict.fromkeys(self._devices, 0.0)  # all of them: another kind of device may have waited for this one

    def _look(self, claim: queue.Claim) -> None:
        """Drop the rounds that an experiment which may stop early has no need of. A look that is missed costs rounds, never a result."""
        if not claim.spec.get("stop_early") or claim.round + 1 not in looks(claim.spec["rounds"]):
            return
        # not at the top, as below: they are for experiments that may stop early
        from db import queries
        from engine.looks import answered

        try:
            record = queries.record(self._db, claim.experiment_id)
            done = answered(record) if record is not None else None
        except ValueError as error:  # a child of another version may have measured what this one does not know
            self._say(f"{claim.experiment_id} goes on: {error}")
            return
        if done is not None and queue.drop_rounds(self._db, claim.experiment_id, done):
            self._say(f"{claim.experiment_id} is answered after round {done} of {claim.spec['rounds']}")

    def end(self) -> None:
        """End the live runs and write what became of them; what cannot be written now, the next scheduler finds."""
        for run in self._live.values():
            run.kill(Status.FAILED, "the scheduler was stopped")
        end = time.monotonic() + 10
        while any(run.result is None for run in self._live.values()) and time.monotonic() < end:
            for run in self._live.values():
                run.watch()
            time.sleep(0.02)
        for device, run in list(self._live.items()):
            with self._tolerating_trouble():
                run.report(self._db, self._beat_seconds)
            self._drop(device)
        for lock in self._locks.values():
            lock.release()
        with self._tolerating_trouble():
            liveness.retire(self._db, self.id)
        self._lock.release()
        _log.info("stopped", extra={"scheduler": self.id})

    @contextlib.contextmanager
    def _tolerating_trouble(self) -> Iterator[None]:
        """Go on while the database is locked, full or down: the children keep running, and writes are tried again."""
        try:
            yield
        except SQLAlchemyError as error:
            if not is_passing(error):
                raise
            self._say(f"the database cannot be used now: {str(error.__cause__ or error).splitlines()[0]}")

    def _say(self, text: str) -> None:
        if text != self._said:
            _log.warning(text)
            self._said = text


def _facts(claim: queue.Claim) -> dict[str, Any]:
    return {"experiment": claim.experiment_id, "run": claim.run_id, "attempt": claim.attempt, "kind": claim.kind, "round": claim.round}


def _end(run: LiveRun) -> dict[str, Any]:
    result = run.result
    return {"status": result.status.value, "reason": result.reason, "seconds": round(run.seconds, 3)} if result is not None else {}


def _goes_on(db: Engine, experiment_id: str, say: Callable[[str], None]) -> bool:
    """Whether the experiment has runs that have not ended; says which one is next."""
    # not at the top: a scheduler that only serves has no need of the tables' readers, which bring pandas
    from db import queries

    record = queries.record(db, experiment_id, samples="none")
    runs = record["runs"] if record else []
    open_runs = [r for r in runs if not Status(r["status"]).ended]
    if open_runs:
        phase = next((r["phase"] for r in open_runs if r["status"] == Status.RUNNING), None)
        say(f"run {len(runs) - len(open_runs) + 1} of {len(runs)}: {phase or 'queued'}")
    return bool(open_runs)


@contextlib.contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """While inside, SIGTERM and Ctrl-C only make the yielded function return True."""
    received: list[int] = []
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {n: signal.signal(n, lambda number, frame: received.append(number)) for n in numbers}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
