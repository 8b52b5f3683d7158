"""Operators are counted one by one, views left out; what cannot be watched is a reason."""

from __future__ import annotations

import torch

from engine.operators import count_operators


def test_operators_are_counted_without_views() -> None:
    a = torch.ones(4, 4)
    assert count_operators(lambda: (a @ a).relu().t().reshape(16)[:3].sum()) >= 3
    assert count_operators(lambda: a.t().view(2, 2, 4)[0]) == 0
    assert count_operators(lambda: [a.add_(1) for _ in range(7)]) == 7


def test_what_cannot_be_watched_is_a_reason() -> None:
    def broken() -> None:
        raise NotImplementedError("this tensor has no dispatch")

    assert count_operators(broken) == "NotImplementedError: this tensor has no dispatch"
