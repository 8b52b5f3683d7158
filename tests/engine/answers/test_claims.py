"""The claim files: complete, each claim settled by something that exists, and bad ones refused with field and fix."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from engine.answers.claim_verdicts import evidence
from engine.answers.claims import Claim, claims, experiment, load_claims, matches, obstacle, parse_stack
from engine.devices import Device, local_devices
from engine.measurement import Measurement
from engine.metrics import METRICS, repeats_exactly
from engine.record import new_record
from engine.references import FOLDER
from engine.settings import REPOSITORY
from tests.engine.answers.claim_records import BYTES, SPEED, claim

REVIEWED = {f"B{n}" for n in range(1, 26)}
"""The rows of the project's review of the chapter's claims."""
CLOSING_TABLE = {
    *(f"table:{t}:{cell}" for t in ("flash", "int8", "int4", "checkpointing", "mixed", "fsdp") for cell in ("memory", "speed", "quality")),
    "table:kv:speed", "table:kv:quality",
}  # fmt: skip
GPU = Device("cuda:0", "cuda", "a GPU", "here", 150_000_000_000, (9, 0))


def test_every_row_of_the_review_and_every_cell_of_the_closing_table_has_a_claim() -> None:
    covered = {name for c in claims() for name in c.covers}
    assert covered == REVIEWED | CLOSING_TABLE


@pytest.mark.parametrize("one", [c for c in claims() if c.test], ids=lambda c: c.id)
def test_a_test_that_settles_a_claim_exists(one: Claim) -> None:
    assert one.test is not None
    path, _, name = one.test.partition("::")
    tree = ast.parse((REPOSITORY / path).read_text())
    assert name in {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}


@pytest.mark.parametrize("one", [c for c in claims() if c.settle], ids=lambda c: c.id)
def test_its_own_experiment_settles_a_claim(one: Claim) -> None:
    """The experiment is valid, and what it measures is what the selector selects: at the named point, in both variants."""
    spec = experiment(one)
    assert spec is not None and one.settle is not None
    record = new_record(spec)
    kind = spec.device
    record["environments"] = {"e": {"device": "here", "device_kind": kind}}
    at: dict[str, Any] = {name: values[0] for name, values in one.settle.point.items()}
    for position in range(len(record["variants"])):
        for round_ in range(spec.rounds):
            measured = Measurement(one.metric, at, samples=(8.0,) * 8)
            record["runs"].append({
                "variant": position, "round": round_, "kind": "quality" if METRICS[one.metric].kind == "quality" else "speed", "status": "succeeded",
                "reason": None, "device": "here", "environment": "e", "details": {}, "phase": None,
                "measurements": [measured.to_json() | {"status": "succeeded", "samples": [8.0] * 8, "n_samples": 8}],
            })  # fmt: skip
    found = evidence(one, record, own=True)
    assert [m.verdict for m in found.measurements] != [] and found.misses == [] and found.without == []
    assert all(m.verdict != "estimate only" for m in found.measurements), "it has rounds enough"
    options = spec.workload.build().model_dump(mode="json")
    for name, plural in (("batch", "batch_sizes"), ("seq_len", "seq_lens")):
        if name in at and plural in options:
            assert at[name] in options[plural], "it measures the point that the claim is about"


def test_published_numbers_are_never_from_memory() -> None:
    published = [p for c in claims() for p in c.published]
    assert len(published) > 40
    assert {p.tag for p in published} == {"R", "R2", "E", "D"}


def test_amended_figures_are_claims_of_their_own() -> None:
    by_id = {c.id: c.claimed for c in claims()}
    assert by_id["lora-trains-8388608"].low == by_id["lora-trains-8388608"].high == 8_388_608
    for name, value in {"double-quantization-saves-0-30-gb": 0.30e9, "llama-7b-nf4-3-9-gb": 3.9e9, "adamw-56-gb-for-7b": 56e9}.items():
        low, high = by_id[name].low, by_id[name].high
        assert low is not None and high is not None and low < value < high


@pytest.mark.parametrize(("changes", "says"), [
    ({"metric": "speed"}, "metric: 'speed' is not one of"),
    ({"claimed": {}}, "give `about`, or `low` and `high`"),
    ({"claimed": {"about": 1.0, "low": 0.0}}, "give `about`, or `low` and `high`"),
    ({"claimed": {"low": 3.0, "high": 2.0}}, "low 3.0 is above high 2.0"),
    ({"settle": None}, "`unsettled` says why"),
    ({"test": "tests/engine/answers/test_claims.py::test_x"}, "a test shows a verdict"),
    ({"quantity": "value"}, "a value has none"),
    ({"published": [{"value": "2", "tag": "M", "source": "memory"}]}, "published.0.tag"),
    ({"colour": "red"}, "colour"),
])  # fmt: skip
def test_a_bad_claim_is_refused_by_file_claim_and_field(changes: dict[str, Any], says: str, tmp_path: Path) -> None:
    write(tmp_path / "mine.toml", BYTES | changes)
    with pytest.raises(ValueError, match=re.escape(says)) as caught:
        load_claims(tmp_path)
    assert str(caught.value).startswith("mine.toml: claim half-the-bytes: ")


@pytest.mark.parametrize(("stack", "says"), [
    ("bnb_int9", "unknown technique 'bnb_int9'"), ("bnb_int8 and more", "is not a technique"), ("bnb_4bit(quant_type=nf5)", "quant_type"),
])  # fmt: skip
def test_a_stack_that_cannot_be_is_refused(stack: str, says: str, tmp_path: Path) -> None:
    write(tmp_path / "mine.toml", BYTES | {"settle": BYTES["settle"] | {"variant": [stack]}})
    with pytest.raises(ValueError, match=says):
        load_claims(tmp_path)


def test_pairs_need_partners_and_ids_are_unique(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2 variants need as many baselines, found 1"):
        claim(settle={"paired": True, "variant": ["bnb_int8", "float16 + bnb_int8"]})
    for name in ("a.toml", "b.toml"):
        write(tmp_path / name, BYTES)
    with pytest.raises(ValueError, match="'half-the-bytes' is used twice"):
        load_claims(tmp_path)
    (tmp_path / "c.toml").write_text("[[claim")
    with pytest.raises(ValueError, match="c.toml is not TOML"):
        load_claims(tmp_path)


def write(path: Path, data: dict[str, Any]) -> None:
    def value(v: Any) -> str:
        if isinstance(v, dict):
            return "{" + ", ".join(f"{k} = {value(x)}" for k, x in v.items()) + "}"
        return f"[{', '.join(map(value, v))}]" if isinstance(v, list) else str(v).lower() if isinstance(v, bool) else repr(v)

    path.write_text("[[claim]]\n" + "".join(f"{k} = {value(v)}\n" for k, v in data.items() if v is not None))


def test_a_stack_is_matched_whole_and_by_the_options_that_are_written() -> None:
    nf4, plain = [{"technique": "bnb_4bit", "options": {}}], [{"technique": "float32", "options": {}}]
    assert matches("bnb_4bit", nf4) and matches("bnb_4bit(quant_type=nf4)", nf4), "also where it is the default"
    assert not matches("bnb_4bit(quant_type=fp4)", nf4)
    assert not matches("bnb_4bit", nf4 + plain) and matches("float32 + bnb_4bit", nf4 + plain), "in any order"
    assert matches("as stored", []) and not matches("as stored", plain)
    assert parse_stack("kv_cache(mode=off)")[0].options == {"mode": "off"}, "off is a word here"


def test_rounds_that_an_experiment_needs() -> None:
    counted, timed = experiment(claim()), experiment(claim(SPEED))
    assert counted is not None and timed is not None
    assert (counted.rounds, timed.rounds) == (1, 5)
    assert [v.name for v in counted.variants] == ["float32", "bnb_int8"] and counted.baseline == "float32"


def test_an_experiment_that_cannot_run_here_says_why(bundled: Path) -> None:
    cpu = [d for d in local_devices() if d.kind == "cpu"]
    fitting = experiment(claim())
    assert fitting is not None and obstacle(fitting, cpu) is None
    on_gpu = experiment(claim(settle={"device": "cuda"}))
    assert on_gpu is not None and obstacle(on_gpu, cpu) == "it needs a device 'cuda', and none is offered here"
    only_cpu = experiment(claim(settle={"variant": ["torch_dynamic_int8"], "device": "cuda"}))
    assert only_cpu is not None and "int8 kernels exist for CPUs only" in str(obstacle(only_cpu, [GPU])), "a variant, not the baseline"
    missing = experiment(claim(settle={"models": ["minilm-l6-reviews"]}))
    assert missing is not None and str(obstacle(missing, cpu)).startswith("model: ")


def test_what_repeats_exactly_did_so_in_every_reference_bundle() -> None:
    """The rule that counted bytes need no interval, held against all rounds that were ever measured more than once."""
    from engine.bundle import load_bundle

    compared = 0
    for path in FOLDER.glob("*.json"):
        record = load_bundle(path)
        first: dict[tuple[int, str, str], float] = {}
        for run in (r for r in record["runs"] if r["status"] == "succeeded" and r["kind"] == "speed"):
            kind = record["environments"][run["environment"]]["device_kind"]
            for m in (m for m in run["measurements"] if m["value"] is not None and repeats_exactly(METRICS[m["metric"]], kind)):
                key = (run["variant"], m["metric"], str(m["point"]))
                compared += key in first
                assert first.setdefault(key, m["value"]) == m["value"], (path.name, key)
    assert compared > 100
