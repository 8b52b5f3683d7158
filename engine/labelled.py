"""Reads labelled examples that were made ready by engine/bundled_sets.py. Says which were used and their hash; fetches nothing."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FILES = {
    "reviews": ("reviews-heldout", "movie-reviews"),
    "reviews_train": ("reviews-train", "movie-reviews"),
    "prompt_injection": ("prompt-injection-test", "prompt-injection"),
    "piqa": ("piqa-validation", "piqa"),
}


@dataclass(frozen=True)
class Labelled:
    """rows: texts (or question and choices) with an integer `label`, in the order of the file."""

    name: str
    rows: list[dict[str, Any]]
    sha256: str

    @property
    def labels(self) -> list[int]:
        return [int(r["label"]) for r in self.rows]

    def protocol(self) -> dict[str, Any]:
        """What must be equal for two numbers to be comparable."""
        return {"dataset": self.name, "dataset_sha256": self.sha256, "examples": len(self.rows)}


def load_labelled(texts_dir: Path, name: str, examples: int) -> Labelled:
    """The first `examples` rows. Raises ValueError with the command that fetches the set, or if it has fewer rows."""
    file, bundled = _FILES[name]
    path = texts_dir / f"{file}.jsonl"
    if not path.is_file():
        raise ValueError(f"dataset: {name} has not been fetched; run: python -m engine.bundled {bundled}")
    content = path.read_bytes()
    # Not splitlines: it would also cut at the exotic line ends that texts may hold.
    rows = [json.loads(line) for line in content.decode().split("\n") if line]
    if examples > len(rows):
        raise ValueError(f"examples: {name} has {len(rows)} examples, {examples} were asked for; ask for fewer")
    return Labelled(name, rows[:examples], hashlib.sha256(content).hexdigest())
