"""What somebody asks of a report. Light to import: it is part of addresses and buttons, charts come later."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """title: of the experiments where it is empty. sections: names of content.SECTIONS, all where there are none. x, y: axes of the
    trade-off, the usual ones where None."""

    title: str = ""
    note: str = ""
    sections: tuple[str, ...] = ()
    x: str | None = None
    y: str | None = None
