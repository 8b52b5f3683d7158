"""Walks a workload's points from small to large. What runs out of memory is a result, and what is larger still is not tried.

Owns that rule alone: what a point means and what is measured there is the workload's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from engine.measurement import Point, Status
from engine.memory import release
from engine.meter import Meter, is_out_of_memory


def measure_points(
    meter: Meter, metrics: Sequence[str], points: Sequence[Mapping[str, int]], measure: Callable[[Point], None],
    fixed: Mapping[str, int] | None = None,
) -> None:  # fmt: skip
    """Measure every point in the order given. `metrics` are those that a point without room leaves unmeasured.

    fixed: what all points have besides, which no reason need name.
    A point is not tried if one that is at most as large in every number did not fit. Other errors are raised.
    """
    lost: list[Mapping[str, int]] = []
    for numbers in points:
        point: Point = {**numbers, **(fixed or {})}
        if smaller := next((p for p in lost if all(numbers[key] >= p[key] for key in p)), None):
            meter.record_failure(metrics, point, Status.OUT_OF_MEMORY, f"not tried: {_words(smaller)} did not fit")
        elif reason := _no_room(measure, point):
            release(meter.device)  # not before the error is gone: it holds what the call had made
            meter.record_failure(metrics, point, Status.OUT_OF_MEMORY, f"{_words(numbers)}: {reason}")
            lost.append(numbers)


def _no_room(measure: Callable[[Point], None], point: Point) -> str | None:
    """What the allocator said if there was no room for a point, None where it was measured."""
    try:
        measure(point)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return (str(error).splitlines() or [type(error).__name__])[0][:300]
    return None


def _words(point: Mapping[str, int]) -> str:
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in point.items())
