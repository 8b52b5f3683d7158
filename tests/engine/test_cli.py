"""The command line as programs use it: documents on stdout, words on stderr, exit codes that tell."""

from __future__ import annotations

import csv
import io
import json
import platform
import shlex
from pathlib import Path
from typing import Any

import pytest

from engine.code_version import commit
from engine.settings import data_dir
from tests.command_line import Done, engine, program
from tests.records import build_record

TINY: dict[str, Any] = {
    "title": "=tiny", "model": "local:tiny", "rounds": 3, "baseline": "float32", "variants": ["float32", "bfloat16", "bnb_4bit"],
    "workload": {"options": {"prompt_tokens": 8, "new_tokens": 4, "repeats": 2, "max_warmups": 1, "quality_tokens": 1024, "quality_context": 512}},
}  # fmt: skip


@pytest.fixture(autouse=True)
def local_models(tiny_model_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_MODELS", str(tiny_model_root))


def tiny_file(tmp_path: Path, **changes: Any) -> str:
    path = tmp_path / "tiny.yaml"
    path.write_text(json.dumps(TINY | changes))
    return str(path)


def test_an_experiment_from_the_first_command_to_the_export(tmp_path: Path) -> None:
    out = program("run", tiny_file(tmp_path), "--json")
    assert out.returncode == 0, out.stderr
    document = json.loads(out.stdout)  # one line, nothing else on stdout
    experiment = document["experiment"]
    assert experiment["title"] == "=tiny" and experiment["link"].endswith(f"/experiment?id={experiment['id']}")
    assert [(v["name"], v["baseline"], v["status"]) for v in document["variants"]] == [
        ("float32", True, "succeeded"), ("bfloat16", False, "succeeded"), ("bnb_4bit", False, "succeeded"),
    ]  # fmt: skip
    quantized = document["variants"][2]
    assert quantized["stack"] == [{"technique": "bnb_4bit", "options": {}}]
    assert quantized["evidence"]["bnb_4bit"]["problem"] is None
    metrics = {m["metric"]: m for m in quantized["metrics"]}
    assert set(metrics["weight_bytes"]) == {
        "metric", "unit", "point", "median", "n_rounds", "ratio", "ci", "verdict", "status", "reason",
    }  # fmt: skip
    assert metrics["weight_bytes"]["n_rounds"] == 3
    assert metrics["weight_bytes"]["ratio"] < 1 and metrics["weight_bytes"]["verdict"] == "better"
    assert metrics["perplexity"]["median"] > 1 and metrics["kl_divergence"]["verdict"] == "fidelity"

    exported = program("export", experiment["id"], "--format", "csv")
    assert exported.returncode == 0, exported.stderr
    rows = list(csv.DictReader(io.StringIO(exported.stdout.lstrip("\ufeff"))))
    decode = [r for r in rows if r["metric"] == "decode_tokens_per_second"]
    assert [r["variant"] for r in decode] == ["float32", "bfloat16", "bnb_4bit"]
    assert all(float(r["value"]) > 0 and int(r["n_rounds"]) == 3 and r["unit"] == "tok/s" for r in decode)
    assert {(r["model"], r["python"], r["commit"]) for r in rows} == {("tiny", platform.python_version(), commit() or "")}
    same = json.loads(engine("export", experiment["id"], "--format", "json").stdout)
    assert len(same) == len(rows) and {r["link"] for r in same} == {experiment["link"]}
    samples = list(csv.DictReader(io.StringIO(engine("export", experiment["id"], "--format", "samples").stdout.lstrip("\ufeff"))))
    assert len([s for s in samples if s["metric"] == "ttft_seconds"]) >= 3 * 3 * 2

    bundle = tmp_path / "bundle.json"
    bundle.write_text(engine("export", experiment["id"], "--format", "bundle").stdout)
    again = engine("import", str(bundle), "--json")
    assert json.loads(again.stdout)["id"] == experiment["id"], again.stderr


def test_a_spoilt_bundle_is_refused_and_makes_no_database(tmp_path: Path) -> None:
    record = build_record({"a": {"ttft_seconds": [1.0]}})
    record["runs"][0]["status"] = "fine"
    (tmp_path / "spoilt.json").write_text(json.dumps(record))
    out = engine("import", str(tmp_path / "spoilt.json"))
    assert (out.returncode, out.stdout) == (2, "")
    assert "runs.0.status: Input should be 'queued'" in " ".join(out.stderr.split())
    assert not data_dir().exists()


def test_a_failed_run_is_exit_code_1(tmp_path: Path) -> None:
    out = engine("run", tiny_file(tmp_path, timeout_seconds=1, rounds=1, variants=["float32"]), "--json")
    assert out.returncode == 1, out.stderr
    assert json.loads(out.stdout)["variants"][0]["status"] == "timed_out"


def test_missing_runs_are_exit_code_1_and_the_command_that_makes_them(tmp_path: Path) -> None:
    bundle = tmp_path / "out of time.json"
    out = engine("run", tiny_file(tmp_path, variants=["float32"]), "--rounds", "2", "--profile", "--bundle", str(bundle), "--max-seconds", "0", "--json")
    assert out.returncode == 1 and json.loads(out.stdout)["variants"][0]["status"] == "succeeded"
    said = " ".join(out.stderr.split()).partition("1 runs are missing; go on with: python -m engine ")
    assert said[1] and "--rounds 2 --profile --bundle" in said[2], out.stderr
    again = engine(*shlex.split(said[2]), "--json")
    assert again.returncode == 0, again.stderr
    runs = json.loads(bundle.read_text())["runs"]
    assert [(r["round"], r["kind"]) for r in runs] == [(0, "speed"), (0, "quality"), (0, "profile"), (1, "speed")]
    assert runs[2]["details"]["profile"]["operators"] and runs[2]["measurements"] == [], "a bundle carries the table"
    assert "missing" not in again.stderr


def test_a_control_is_measured_where_it_is_asked_for_and_asked_for_again(tmp_path: Path) -> None:
    bundle = tmp_path / "b.json"
    arguments = ("--rounds", "6", "--control", "--stop-early", "--bundle", str(bundle), "--max-seconds", "0", "--json")
    out = engine("run", tiny_file(tmp_path, variants=["float32"]), *arguments)
    control = json.loads(out.stdout)["variants"][1]
    assert (control["name"], control["status"], control["baseline"]) == ("float32, again", "succeeded", False), out.stderr
    assert {m["metric"]: m["verdict"] for m in control["metrics"]}["perplexity"] == "equivalent", "it repeats to the last bit"
    assert "10 runs are missing" in out.stderr and "--rounds 6 --control --stop-early --bundle" in " ".join(out.stderr.split())


def test_a_bundle_that_cannot_be_written_is_found_before_the_first_run(tmp_path: Path, own_data: Path) -> None:
    out = engine("run", tiny_file(tmp_path), "--bundle", str(tmp_path / "no-such-folder" / "b.json"))
    assert (out.returncode, out.stdout) == (2, "")
    assert "--bundle:" in out.stderr and "cannot be written: No such file or directory" in " ".join(out.stderr.split())
    assert not (own_data / "runs").exists()


@pytest.mark.parametrize("bundle", [False, True])
def test_a_gpu_that_is_not_here_is_refused_and_not_waited_for(
    tmp_path: Path, own_data: Path, monkeypatch: pytest.MonkeyPatch, bundle: bool
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    out = engine("run", tiny_file(tmp_path), "--device", "cuda", *(["--bundle", str(tmp_path / "b.json")] if bundle else []))
    assert (out.returncode, out.stdout) == (2, "")
    assert "device: 'cuda' is not on this machine (here: cpu)" in " ".join(out.stderr.split())
    assert not (tmp_path / "b.json").exists()


def test_without_json_people_get_a_table(tmp_path: Path) -> None:
    out = engine("run", tiny_file(tmp_path, rounds=1, variants=["float32"]), "--bundle", str(tmp_path / "b.json"))
    assert out.returncode == 0, out.stderr
    assert "Decode throughput" in out.stdout and "baseline" in out.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "quickstrat"], "unknown preset 'quickstrat' (did you mean 'quickstart'?)"),
        (["run", "nothing.yaml"], "no file 'nothing.yaml'"),
        (["run", "quickstart", "--model", "../../etc"], "model: unknown model '../../etc'"),
        (["run", "quickstart", "--rounds", "0"], "rounds: "),
        (["run", "quickstart", "--rounds", "4", "--control"], "control: it needs at least 5 rounds, there are 4"),
        (["submit", "quickstart", "--rounds", "5", "--stop-early"], "stop_early: the first look is after round 5"),
        (["run", "quickstart", "--max-seconds", "3"], "go with --bundle FILE"),
        (["submit", "quickstart", "--model", "tiny-llama", "--device", "tpu"], "device: nothing offers 'tpu'; choose one of"),
        (["export", "nothing"], "there is no 'nothing'"),
        (["cancel", "nothing"], "there is no 'nothing'"),
        (["export", "nothing", "--format", "xml"], "'xml' is not one of csv, json, parquet, variants, samples, bundle"),
        (["import", "nothing.json"], "cannot read nothing.json"),
        (["fly"], "No such command 'fly'"),
    ],
)
def test_bad_input_is_exit_code_2_and_one_line(arguments: list[str], message: str) -> None:
    refused(engine(*arguments), message)


def test_bad_input_is_the_same_to_whoever_starts_the_program() -> None:
    refused(program("run", "quickstrat"), "unknown preset 'quickstrat' (did you mean 'quickstart'?)")


def refused(out: Done, message: str) -> None:
    assert out.returncode == 2
    assert message in " ".join(out.stderr.split())
    assert "Traceback" not in out.stderr and out.stdout == ""


@pytest.mark.parametrize(("options", "message"), [
    ({"batch_sizes": [0]}, "batch_sizes.0: Input should be greater than or equal to 1"),
    ({"new_tokens": 10**9}, "new_tokens.0: Input should be less than or equal to 65536"),
    ({"new_tokens": 60_000}, "needs 60128 tokens of context, smollm2-135m has 8192"),
])  # fmt: skip
def test_impossible_workloads_are_refused_before_anything_is_queued(
    tmp_path: Path, own_data: Path, options: dict[str, Any], message: str
) -> None:
    folder = own_data / "models" / "smollm2-135m"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    out = engine("submit", tiny_file(tmp_path, model="smollm2-135m", workload={"options": options}))
    assert out.returncode == 2
    assert message in " ".join(out.stderr.split())


@pytest.mark.parametrize(("command", "fields"), [
    ("techniques", {"name", "label", "family", "slot", "available", "reason", "options"}),
    ("workloads", {"name", "label", "family", "slot", "available", "reason", "options"}),
    ("models", {"name", "source", "parameters", "available", "reason"}),
])  # fmt: skip
def test_catalogues_are_one_json_list(command: str, fields: set[str]) -> None:
    rows = json.loads(engine(command, "--json").stdout)
    assert rows and all(set(row) == fields for row in rows)
    assert all(row["available"] == (row["reason"] is None) for row in rows)


def test_the_doctor_names_what_is_missing_and_changes_nothing(own_data: Path) -> None:
    out = engine("doctor")
    assert out.returncode == 0, out.stderr
    assert "smollm2-135m has not been fetched: python -m engine.bundled" in out.stdout
    report = json.loads(engine("doctor", "--json").stdout)
    assert report["devices"][0]["id"] == "cpu"
    database = next(c for c in report["checks"] if c["kind"] == "database")
    assert database["problem"] == "there is none yet: make run makes it" and database["name"].endswith("/lab.db")
    assert not own_data.exists()
