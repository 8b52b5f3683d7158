"""Which variants would be worth comparing, of the experiments that there are. From names alone: reads no measurement.

Three kinds, the first that can be made of each: what the newest experiment measured; one variant on two devices; and what two
experiments with the same model, workload and device measured, which can be told apart through their baselines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.variant_ref import VariantRef

_EACH = 5


@dataclass(frozen=True)
class Listed:
    """An experiment with results, as a list has it. variants: (name, whether it is the baseline) by position."""

    id: str
    title: str
    model: str
    workload: str
    device: str
    variants: tuple[tuple[str, bool], ...]

    def ref(self, position: int) -> VariantRef:
        return VariantRef(self.id, position)

    @property
    def baseline(self) -> int:
        return next((i for i, (_, baseline) in enumerate(self.variants) if baseline), 0)


@dataclass(frozen=True)
class Suggestion:
    """Variants to compare, with what they would answer. split: how the page is to compare them."""

    text: str
    refs: tuple[VariantRef, ...]
    split: str = "together"


def suggestions(experiments: Sequence[Listed], most: int = 3) -> list[Suggestion]:
    """At most so many, of experiments with two variants and more, newest first. The kinds in turn, then more of the first kind."""
    usable = [e for e in experiments if len(e.variants) > 1]
    kinds = (list(_within(usable)), list(_devices(usable)), list(_joined(usable)))
    first = [kind[0] for kind in kinds if kind]
    rest = [found for kind in kinds for found in kind[1:]]
    return list({found.refs: found for found in (*first, *rest)}.values())[:most]


def _within(experiments: Sequence[Listed]) -> Iterator[Suggestion]:
    for e in experiments:
        others = [i for i in range(len(e.variants)) if i != e.baseline][:_EACH]
        names = ", ".join(e.variants[i][0] for i in others)
        yield Suggestion(f"What is best of {names}, against {e.variants[e.baseline][0]}? {e.title}", tuple(map(e.ref, (e.baseline, *others))))


def _devices(experiments: Sequence[Listed]) -> Iterator[Suggestion]:
    """The same variants on two devices, each against its own baseline."""
    for first, second in _pairs(experiments):
        if (first.model, first.workload) != (second.model, second.workload) or first.device == second.device:
            continue
        there = {name: i for i, (name, _) in enumerate(second.variants)}
        both = [(i, there[name]) for i, (name, baseline) in enumerate(first.variants) if name in there and not baseline][: _EACH // 2 + 1]
        if both:
            names = ", ".join(first.variants[i][0] for i, _ in both)
            refs = (*(first.ref(i) for i, _ in both), *(second.ref(j) for _, j in both))
            yield Suggestion(f"Does it pay the same on both devices? {names}, {first.model}: {first.title}, and {second.title}", refs, "device")


def _joined(experiments: Sequence[Listed]) -> Iterator[Suggestion]:
    for first, second in _pairs(experiments):
        if (first.model, first.workload, first.device) == (second.model, second.workload, second.device):
            mine, theirs = ([i for i in range(len(e.variants)) if i != e.baseline][: _EACH // 2 + 1] for e in (first, second))
            refs = (first.ref(first.baseline), *map(first.ref, mine), *map(second.ref, theirs))
            yield Suggestion(f"Two experiments with {first.model} on {first.device}, together: {first.title}, and {second.title}", refs)


def _pairs(experiments: Sequence[Listed]) -> Iterator[tuple[Listed, Listed]]:
    for i, first in enumerate(experiments):
        for second in experiments[i + 1 :]:
            yield first, second
