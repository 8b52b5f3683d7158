"""The texts that prompts and perplexity come from. Says which text was used and its hash."""

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
    path = texts_dir / "wikitext2-test.txt"
    if path.is_file():
        return _text("wikitext2-test", path.read_text(encoding="utf-8"))
    from pydoc_data import topics  # ships with CPython, so its content depends on the Python version

    return _text("pydoc-topics", "\n\n".join(topics.topics[k] for k in sorted(topics.topics)))


def _text(name: str, content: str) -> Text:
    return Text(name, content, hashlib.sha256(content.encode()).hexdigest())
