"""The public reference of a variant, EXPERIMENTID.POSITION, as addresses, files and commands write it. Parses; looks nothing up.

The position is the variant's index in its experiment, from 0. A name may change or occur twice; a reference does neither.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

MOST = 24
"""A list holds at most so many references: about 600 characters of an address."""

_ONE = re.compile(r"([A-Za-z0-9_-]{1,32})\.([0-9]{1,4})")
_NAMED, _LONGEST = 5, 40


@dataclass(frozen=True, order=True)
class VariantRef:
    """Which variant of which experiment. That it can be written does not mean that there is one."""

    experiment: str
    position: int

    def __str__(self) -> str:
        return f"{self.experiment}.{self.position}"


@dataclass(frozen=True)
class RefList:
    """What a list of references says: those that can be, each once and in order. malformed: the first pieces that cannot be one.

    beyond: how many were left out because there are more than MOST.
    """

    refs: tuple[VariantRef, ...] = ()
    malformed: tuple[str, ...] = ()
    beyond: int = 0


def parse(text: str) -> VariantRef | None:
    """One reference; None where it cannot be one."""
    found = _ONE.fullmatch(text.strip())
    return VariantRef(found[1], int(found[2])) if found else None


def read(text: str) -> RefList:
    """A comma-separated list, tolerant of anything: empty pieces are nothing, what comes again counts once."""
    refs: dict[VariantRef, None] = {}
    malformed: dict[str, None] = {}
    for piece in filter(None, map(str.strip, text.split(","))):
        if (ref := parse(piece)) is not None:
            refs[ref] = None
        elif len(malformed) < _NAMED:
            malformed["".join(c for c in piece if c.isprintable())[:_LONGEST]] = None
    return RefList(tuple(refs)[:MOST], tuple(malformed), max(len(refs) - MOST, 0))


def write(refs: Iterable[VariantRef]) -> str:
    """The list that `read` gives back."""
    return ",".join(map(str, refs))
