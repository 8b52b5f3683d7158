"""Which tools' files can be imported, and one file from its bytes to a record. A new tool is one module and one line in READERS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from engine.imports import aiperf, guidellm, lm_eval, optimum_benchmark
from engine.imports.imported import Imported, record_id, to_record
from engine.imports.reading import MAX_BYTES, Node, NotThisFormatError, parse, plain
from engine.record import FORMAT, Record

if TYPE_CHECKING:
    from sqlalchemy import Engine


@dataclass(frozen=True)
class Reader:
    """One tool. files: the names under which it writes what can be read. about: its module's text, with what is taken over and what not."""

    name: str
    files: str
    about: str
    recognizes: Callable[[Any], bool]
    read: Callable[[Node], Imported]


READERS = tuple(Reader(m.NAME, m.FILES, str(m.__doc__), m.recognizes, m.read) for m in (optimum_benchmark, lm_eval, guidellm, aiperf))


def read_file(name: str, content: bytes) -> Record:
    """A record from one file of another tool. Raises ValueError that names file and field; NotThisFormatError where no reader knows it."""
    file = plain(PurePath(name).name) or "file"
    node = parse(content, file)
    reader = next((r for r in READERS if r.recognizes(node.data)), None)
    if reader is None:
        if isinstance(node.data, dict) and node.data.get("format") == FORMAT:
            raise NotThisFormatError(f"{file}: it is a bundle of this product: python -m engine import FILE")
        known = "; ".join(f"{r.name} ({r.files})" for r in READERS)
        raise NotThisFormatError(f"{file}: no tool is known that writes such a file; known are {known}")
    return to_record(reader.read(node), content, file)


def foreign(path: Path) -> bytes | None:
    """The content of a JSON file that is no bundle; None for one, and for what cannot be read, which engine/bundle.py puts into words."""
    try:
        if path.stat().st_size > MAX_BYTES:  # a bundle with many samples may be as large
            return None
        content = path.read_bytes()
        data = parse(content, path.name).data
    except (OSError, ValueError):
        return None
    return None if isinstance(data, dict) and "format" in data else content


def store(db: Engine, name: str, content: bytes) -> tuple[str, bool]:
    """(id of the experiment, whether it is new) of a file's content: the same file again is found, whatever it is called now.

    All of it is read and checked before anything is written, in one transaction. Raises ValueError.
    """
    from db import queries, records

    experiment_id = record_id(content)
    if queries.record(db, experiment_id, samples="none") is not None:
        return experiment_id, False
    return records.import_record(db, read_file(name, content), "imported"), True
