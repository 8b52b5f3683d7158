"""Counts the operators that a call of a model starts: on a GPU each is at least one kernel to launch."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode


class _Counter(TorchDispatchMode):
    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # a view computes nothing
        self.count += not func.is_view
        return func(*args, **(kwargs or {}))


def count_operators(call: Callable[[], Any]) -> int | str:
    """How many operators a call starts, views left out, or why they could not be counted. What an operator of a library starts
    within itself is one.

    A pass of its own, never a timed one. Not for compiled models, which would run differently while they are watched.
    """
    counter = _Counter()  # type: ignore[no-untyped-call]
    try:
        with counter:
            call()
    except Exception as error:  # not every kind of tensor can be watched, and all that the run was asked for is measured by now
        traceback.print_exc()
        return f"{type(error).__name__}: {error}"[:500]
    return counter.count
