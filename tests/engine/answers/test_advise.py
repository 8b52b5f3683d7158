"""`engine advise` and `engine check` as programs use them: one document on stdout, exit code 2 with the fix for what is mistyped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.bundle import save_bundle
from engine.settings import REPOSITORY, data_dir
from tests.command_line import engine, program
from tests.records import build_record

FEW = [1.0, 1.01, 0.99]
LLAMA = str(REPOSITORY / "experiments" / "reference" / "llama-7b-h100.json")


def bundle(tmp_path: Path, **speeds: list[float]) -> Path:
    record = build_record({name: {"decode_tokens_per_second": [30 * f for f in few]} for name, few in speeds.items()}, title="Mine")
    for variant, stack in zip(record["variants"], record["experiment"]["spec"]["variants"], strict=True):
        assert variant["stack"] == stack["stack"] == []
    save_bundle(record, tmp_path / "mine.json")
    return tmp_path / "mine.json"


def test_advise_answers_from_the_references_as_one_document() -> None:
    out = program("advise", "--reference", "--model", "llama-7b", "--device", "h100", "--max-memory", "8GB", "--batch", "8", "--json")
    assert out.returncode == 0, out.stderr
    document = json.loads(out.stdout)
    assert list(document) == ["question", "groups", "notes"]
    assert document["question"]["max_memory_bytes"] == 8e9 and document["question"]["point"] == {"batch": "8"}
    group = next(g for g in document["groups"] if [e["title"] for e in g["experiments"]] == ["LLaMA-7B shape on one H100"])
    assert [(r["rank"], r["variant"], r["relation"]) for r in group["ranked"]] == [
        (1, "bnb_nf4", "first"), (2, "bnb_nf4_double_quant", "not distinguishable"),
    ]  # fmt: skip
    assert set(group["ranked"][0]) == {"rank", "relation", "variant", "baseline", "experiment", "checks", "measured", "runs"}
    assert group["ranked"][0]["measured"]["perplexity"] is None, "a shape's quality is not measured"
    assert {c["variant"] for c in group["failed"]} == {"float16", "float32", "bfloat16", "bnb_int8", "float16 without KV cache"}
    assert not data_dir().exists(), "no database was made"


def test_advise_as_words_and_from_bundles(tmp_path: Path) -> None:
    out = engine("advise", "--bundle", str(bundle(tmp_path, base=FEW, fast=[2 * f for f in FEW])), "--max-quality-loss", "1%")
    assert out.returncode == 0, out.stderr
    assert out.stdout.startswith("Fastest decode, quality loss at most 1 %:")
    assert "no variant meets every constraint: 2 not measured." in out.stdout
    assert "  not measured: fast: perplexity is not measured" in out.stdout
    out = engine("advise", "--bundle", str(tmp_path / "mine.json"))
    assert "fast. Decode throughput 60 tok/s, 2.00 x base" in out.stdout and "behind the first" in out.stdout
    assert "No experiment measured" in engine("advise", "--bundle", str(tmp_path / "mine.json"), "--objective", "training").stdout


def test_advise_and_check_read_the_database(tmp_path: Path) -> None:
    path = bundle(tmp_path, base=FEW, fast=[2 * f for f in FEW])
    identity = json.loads(engine("import", str(path), "--json").stdout)["id"]
    document = json.loads(engine("advise", "--json").stdout)
    (group,) = document["groups"]
    assert group["ranked"][0]["variant"] == "fast" and group["experiments"][0]["id"] == identity
    assert all(isinstance(run["id"], int) for run in group["ranked"][0]["runs"])
    flags = json.loads(engine("check", identity, "--json").stdout)
    assert flags["experiment"] == {"id": identity, "title": "Mine"}
    assert {f["name"] for f in flags["flags"]} == {"quality not measured", "batch 1 only", "nothing quantized"}
    assert set(flags["flags"][0]) == {"name", "severity", "variants", "evidence", "why", "remedy", "technique"}


def test_check_reads_a_bundle_and_prints_words() -> None:
    out = engine("check", LLAMA)
    assert out.returncode == 0, out.stderr
    assert "no KV cache" in out.stdout and "float16 without KV cache" in out.stdout
    assert not data_dir().exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("advise",), "there is no experiment in the database"),
        (("advise", "--reference", "--max-memory", "24"), "write 24GB"),
        (("advise", "--reference", "--model", "gpt-5"), "model: nothing was measured with 'gpt-5'"),
        (("advise", "--bundle", "nothing.json"), "cannot read nothing.json"),
        (("check", "nothing"), "there is no 'nothing'"),
        (("check", "nothing.json"), "cannot read nothing.json"),
    ],
)
def test_what_is_mistyped_is_exit_code_2_with_the_fix(arguments: tuple[str, ...], said: str) -> None:
    out = engine(*arguments)
    assert out.returncode == 2 and out.stdout == ""
    assert said in " ".join(out.stderr.split())
