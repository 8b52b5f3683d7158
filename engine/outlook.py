"""When the queue will be done with what waits in it, from how long runs like these took. Knows no database and no page.

A run that has not been timed in its own experiment is expected to take what it took in the newest one of the same model and device.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from db.open_runs import OpenExperiment

Past = Callable[[str, str], Mapping[str, float]]
"""(model, device) -> {kind: seconds of a run}."""


@dataclass(frozen=True)
class Outlook:
    """position: 1 for the next on its device, 0 for what runs. before: queued runs ahead of it there. seconds_left: of its own runs.

    starts_in: seconds until its first run begins. Both None where nothing like it was timed.
    """

    position: int
    before: int
    starts_in: float | None
    seconds_left: float | None


def outlook(waiting: Sequence[OpenExperiment], past: Past, now: datetime) -> list[Outlook]:
    """waiting: in the order of their turn. Experiments for different devices do not wait for each other; what has not begun waits for
    whichever of the fitting devices that others wait for has the fewest before it."""
    queues: dict[str, list[float | None]] = {}
    runs: dict[str, int] = defaultdict(int)
    found = []
    for experiment in waiting:
        known = expected(experiment, past)
        own = _seconds(experiment, known, now)
        where = _queue(experiment, queues)
        ahead = queues.setdefault(where, [])
        starts = None if any(s is None for s in ahead) else sum(s for s in ahead if s is not None)
        running = bool(experiment.running)
        found.append(Outlook(0 if running else len(ahead) + 1, runs[where], 0.0 if running else starts, own))
        ahead.append(own)
        runs[where] += sum(experiment.left.values())
    return found


def expected(experiment: OpenExperiment, past: Past) -> dict[str, float]:
    """{kind: seconds that a run of it is expected to take}; a kind that was never timed takes what the others do. Empty where none was."""
    known = {**past(experiment.model, experiment.wanted), **experiment.seconds}
    usual = sum(known.values()) / len(known) if known else None
    return {} if usual is None else {kind: known.get(kind, usual) for kind in ("speed", "quality", "profile")}


def left_of_run(started_at: datetime | None, kind: str, known: Mapping[str, float], now: datetime) -> float | None:
    """Seconds until a run ends, as runs of its kind do; None where none was timed. Never below zero."""
    if kind not in known or started_at is None:
        return None
    return max(known[kind] - (now - started_at).total_seconds(), 0.0)


def _queue(experiment: OpenExperiment, queues: Mapping[str, Sequence[float | None]]) -> str:
    """The device that it is bound to; else a fitting one: `cpu` is answered by here/cpu, `cuda` by here/cuda:0."""
    if experiment.bound:
        return experiment.bound
    names = {key: key.rpartition("/")[2] for key in queues}
    fitting = [key for key, name in names.items() if experiment.wanted in (key, name, name.partition(":")[0])]
    return min(fitting, key=lambda key: len(queues[key]), default=experiment.wanted)


def _seconds(experiment: OpenExperiment, known: Mapping[str, float], now: datetime) -> float | None:
    if any(kind not in known for kind in experiment.left):
        return None
    running = [left_of_run(run["started_at"], run["kind"], known, now) for run in experiment.running]
    if any(left is None for left in running):
        return None
    return sum(n * known[kind] for kind, n in experiment.left.items()) + sum(left for left in running if left is not None)
