"""The texts that prompts, training and perplexity come from. Says which text was used and its hash."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Text:
    name: str
    content: str
    sha256: str


def load_text(texts_dir: Path) -> Text:
    """WikiText-2 raw test, or Python's own documentation topics where it has not been fetched (the name says so)."""
    return _fetched(texts_dir, "wikitext2-test") or _topics("pydoc-topics", backwards=False)


def load_training_text(texts_dir: Path) -> Text:
    """What is trained on, never what is measured on: WikiText-2 raw validation, else the documentation topics from the end."""
    return _fetched(texts_dir, "wikitext2-validation") or _topics("pydoc-topics-backwards", backwards=True)


def _fetched(texts_dir: Path, name: str) -> Text | None:
    path = texts_dir / f"{name}.txt"
    return _text(name, path.read_text(encoding="utf-8")) if path.is_file() else None


def _topics(name: str, *, backwards: bool) -> Text:
    from pydoc_data import topics  # ships with CPython, so its content depends on the Python version

    return _text(name, "\n\n".join(topics.topics[k] for k in sorted(topics.topics, reverse=backwards)))


def _text(name: str, content: str) -> Text:
    return Text(name, content, hashlib.sha256(content.encode()).hexdigest())
