"""Which labelled examples a variant answers otherwise than the baseline: the four counts behind McNemar's test.

Reads a record; whether two runs may be compared at all, and p, are decided in engine/verdicts.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.cells import cells, point_label
from engine.record import Record, base_position
from engine.statistics import pair_counts
from engine.verdicts import compare


@dataclass(frozen=True)
class Flips:
    """One variant, one metric: examples that both got right, one of them alone, or none. p: McNemar's exact test, unadjusted."""

    variant: str
    metric: str
    point_label: str
    examples: int
    both: int
    only_baseline: int
    only_variant: int
    p: float


def flips(record: Record) -> list[Flips]:
    """By metric, then by variant; empty where no labelled examples were answered, or their samples are not loaded."""
    base = base_position(record)
    found = []
    for cell in (c for c in cells(record) if c.metric.paired_by == "examples"):
        for position, variant in enumerate(record["variants"]):
            own, of_base = ([o for o in cell.outcomes[i] if o.samples] for i in (position, base))
            if position == base or not own or not of_base or (p := compare(cell.metric, own, of_base).p) is None:
                continue
            both, only_variant, only_baseline = pair_counts(own[-1].samples, of_base[-1].samples)
            counts = (len(own[-1].samples), both, only_baseline, only_variant)
            found.append(Flips(variant["name"], cell.metric.name, point_label(cell.point), *counts, p))
    return found
