"""Whether the page that is being drawn shows a frozen snapshot: then `store` reads from it, and from nothing else.

Set for one drawing of one page. What a polling fragment draws later is drawn without it, so nothing that polls belongs into a frozen view.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from engine.snapshot import Snapshot

_SHOWN: ContextVar[Snapshot | None] = ContextVar("snapshot", default=None)


def snapshot() -> Snapshot | None:
    """The one that is shown; None where the page shows the database."""
    return _SHOWN.get()


@contextmanager
def showing(snapshot: Snapshot) -> Iterator[None]:
    before = _SHOWN.set(snapshot)
    try:
        yield
    finally:
        _SHOWN.reset(before)
