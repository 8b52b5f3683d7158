"""Making a directory or file aside and giving it its name when it is whole, one process at a time. Knows nothing of its content."""

from __future__ import annotations

import fcntl
import json
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

_ASIDE = ".making-"


class Source(Protocol):
    """What something is made from: a member of a wheel, or a file on the hub."""

    @property
    def sha256(self) -> str: ...

    def facts(self) -> dict[str, Any]: ...


def complete(folder: Path, facts: Path, source: Source) -> bool:
    """Was it made from this very source, and do its files still have the sizes that were written?"""
    try:
        recorded = json.loads(facts.read_text())
        sizes = {f: (folder / f).stat().st_size for f in recorded["files"]}
    except (OSError, ValueError, KeyError):
        return False
    return bool(recorded["member_sha256"] == source.sha256 and sizes == recorded["files"])


def write_facts(path: Path, source: Source, more: dict[str, Any], files: Iterable[Path]) -> None:
    sizes = {f.name: f.stat().st_size for f in sorted(files)}
    facts = source.facts() | more | {"made": datetime.now(UTC).isoformat(timespec="seconds"), "files": sizes}
    path.write_text(json.dumps(facts, indent=1) + "\n")


@contextmanager
def aside(folder: Path) -> Iterator[Path]:
    """A place aside, for one process at a time: another waits here and then finds everything made."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in folder.glob(f"{_ASIDE}*"):  # by a process that was killed: whoever is alive holds the lock
            shutil.rmtree(left)
        with tempfile.TemporaryDirectory(prefix=_ASIDE, dir=folder) as aside:
            yield Path(aside)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
