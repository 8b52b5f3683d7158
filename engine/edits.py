"""What people may say of an experiment: its title, note, tags and place in the archive. The one way to change them.

Raises ValueError that names the field; links carry ids, so no change here breaks one.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from sqlalchemy import Engine

from db import edits

TITLE_CHARACTERS = 200
NOTE_CHARACTERS = 20_000
TAG_CHARACTERS = 40
TAGS_AT_ONCE = 20


def rename(db: Engine, experiment_id: str, title: str) -> None:
    title = _line("title", title, TITLE_CHARACTERS)
    _there(edits.change(db, [experiment_id], {"title": title}))


def set_note(db: Engine, experiment_id: str, note: str) -> None:
    """note: Markdown; empty takes it away."""
    note = note.replace("\r\n", "\n").replace("\r", "\n").strip()
    if len(note) > NOTE_CHARACTERS:
        raise ValueError(f"note: it has {len(note):,} characters; shorten it to {NOTE_CHARACTERS:,}")
    _printable("note", note.replace("\n", " ").replace("\t", " "))
    _there(edits.change(db, [experiment_id], {"note": note}))


def set_archived(db: Engine, experiment_ids: Sequence[str], archived: bool) -> int:
    """An archived experiment keeps its link and its results, and is in no list unless one asks for the archive. Returns how many there are."""
    return edits.change(db, experiment_ids, {"archived": archived})


def set_private(db: Engine, experiment_id: str, private: bool) -> None:
    """A private experiment is seen by its owner and by admins; to others it is as if it did not exist."""
    _there(edits.change(db, [experiment_id], {"private": private}))


def add_tags(db: Engine, experiment_ids: Sequence[str], tags: Iterable[str]) -> int:
    """Returns how many of these experiments there are."""
    return edits.add_tags(db, experiment_ids, tidy_tags(tags))


def remove_tags(db: Engine, experiment_ids: Sequence[str], tags: Iterable[str]) -> int:
    """Returns how many of these experiments there are."""
    return edits.remove_tags(db, experiment_ids, tidy_tags(tags))


def tidy_tags(tags: Iterable[str]) -> list[str]:
    """Small letters, one space between words, none twice: 'Release  7' and 'release 7' are one tag."""
    found = list(dict.fromkeys(_line("tags", tag, TAG_CHARACTERS).lower() for tag in tags))
    if not 0 < len(found) <= TAGS_AT_ONCE:
        raise ValueError(f"tags: {len(found)} are given; give 1 to {TAGS_AT_ONCE}")
    return found


def _line(field: str, text: str, longest: int) -> str:
    text = " ".join(_printable(field, text).split())
    if not text:
        raise ValueError(f"{field}: it is empty; write at least one letter")
    if len(text) > longest:
        raise ValueError(f"{field}: it has {len(text)} characters; shorten it to {longest}")
    return text


def _printable(field: str, text: str) -> str:
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in text):
        raise ValueError(f"{field}: {text[:80]!r} has control characters; leave them out")
    return text


def _there(changed: int) -> None:
    if not changed:
        raise ValueError("id: there is no such experiment; it may have been deleted")
