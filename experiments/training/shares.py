"""What the ranks of a training run have done, put together: a step takes as long as the slowest rank, and tokens add up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Times = dict[str, float]
"""Seconds of one step by part, and in "total"."""


@dataclass(frozen=True)
class Share:
    """warmups, timed: each step's times. tokens: trained on in the timed steps; seconds: from their common start to their end."""

    warmups: list[Times]
    timed: list[Times]
    tokens: int
    seconds: float


def together(shares: Sequence[Share]) -> Share:
    """What all ranks have done, as if they were one. All have made the same number of steps."""
    return Share(
        _slowest([share.warmups for share in shares]),
        _slowest([share.timed for share in shares]),
        sum(share.tokens for share in shares),
        max(share.seconds for share in shares),
    )


def _slowest(by_rank: list[list[Times]]) -> list[Times]:
    """For each step, all times of the rank that took longest in it: the parts of one rank add up to its step."""
    return [max(step, key=lambda times: times["total"]) for step in zip(*by_rank, strict=True)]
