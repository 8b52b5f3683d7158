"""`engine run --bundle` with SQLAlchemy and Streamlit out of reach; resuming at a round; refusing another experiment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.analysis import exit_code
from engine.bundle import load_bundle
from engine.devices import Device
from engine.foreground import missing, run_foreground
from engine.locks import DeviceLock
from engine.presets import parse_spec
from engine.settings import REPOSITORY, runs_dir
from engine.specs import ExperimentSpec
from tests.engine.processes import local_executor

SPEC: dict[str, Any] = {
    "title": "tiny", "model": "local:tiny", "rounds": 2, "baseline": "float32", "variants": ["float32", "bfloat16"],
    "workload": {"options": {"prompt_tokens": 8, "new_tokens": 3, "repeats": 2, "quality_tokens": 256, "quality_context": 128}},
}  # fmt: skip

BLOCKER = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("sqlalchemy", "alembic", "streamlit", "db"):
            raise ModuleNotFoundError(f"{name} is blocked in this test", name=name)
sys.meta_path.insert(0, Blocked())
"""


@pytest.fixture(autouse=True)
def local_models(tiny_model_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_MODELS", str(tiny_model_root))


def test_bundle_without_database_packages(tmp_path: Path) -> None:
    (tmp_path / "block").mkdir()
    (tmp_path / "block" / "sitecustomize.py").write_text(BLOCKER)
    (tmp_path / "tiny.yaml").write_text(json.dumps(SPEC))
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "block")}
    blocked = subprocess.run([sys.executable, "-c", "import sqlalchemy"], env=environment, capture_output=True, text=True)
    assert "is blocked in this test" in blocked.stderr, "the test blocks what it says it blocks"
    out = subprocess.run(
        [sys.executable, "-m", "engine", "run", str(tmp_path / "tiny.yaml"), "--bundle", str(tmp_path / "out.json"), "--json"],
        env=environment, cwd=REPOSITORY, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert out.returncode == 0, out.stderr
    document = json.loads(out.stdout.splitlines()[-1])
    assert [v["name"] for v in document["variants"]] == ["float32", "bfloat16"]
    assert {v["status"] for v in document["variants"]} == {"succeeded"}
    record = load_bundle(tmp_path / "out.json")
    assert [r["status"] for r in record["runs"]] == ["succeeded"] * 6
    assert record["environments"]


def test_resume_at_a_round_gives_the_same_runs(tmp_path: Path) -> None:
    spec = parse_spec(SPEC)
    first = run_foreground(spec, max_seconds=0)
    assert {r["round"] for r in first["runs"]} == {0}
    whole = run_foreground(spec, record=json.loads(json.dumps(first)))
    assert [r["round"] for r in whole["runs"]] == [0, 0, 0, 0, 1, 1]
    assert whole["runs"][:4] == json.loads(json.dumps(first))["runs"], "what was measured stays"
    assert whole["experiment"]["id"] == first["experiment"]["id"]


def test_resume_refuses_another_experiment_and_another_device() -> None:
    spec = parse_spec(SPEC)
    record = run_foreground(spec, max_seconds=0)
    with pytest.raises(ValueError, match="holds another experiment"):
        run_foreground(parse_spec(SPEC | {"rounds": 3}), record=record)
    record["experiment"]["bound_device"] = "elsewhere/cuda:0"
    with pytest.raises(ValueError, match="was measured on elsewhere/cuda:0"):
        run_foreground(spec, record=record)


def test_time_limit_of_a_run_is_kept() -> None:
    for_ever = {"options": {"prompt_tokens": 8, "new_tokens": 400, "repeats": 1000, "quality_tokens": 0}}
    record = run_foreground(parse_spec(SPEC | {"timeout_seconds": 1, "rounds": 1, "variants": ["float32"], "workload": for_ever}))
    assert {r["status"] for r in record["runs"]} == {"timed_out"}
    assert record["runs"][0]["reason"] == "time limit of 1 s"


def stand_in(mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> ExperimentSpec:
    """The spec of an experiment whose runs are made by misbehaving_child."""
    (tmp_path / "stand-ins" / mode).mkdir(parents=True)
    (tmp_path / "stand-ins" / mode / "config.json").write_text("{}")
    monkeypatch.setenv("LAB_MODELS", str(tmp_path / "stand-ins"))
    return parse_spec({"title": mode, "model": f"local:{mode}", "rounds": 1, "workload": {"options": {"quality_tokens": 0}}} | changes)


def test_a_run_over_its_time_keeps_what_it_had_handed_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = run_foreground(stand_in("linger", tmp_path, monkeypatch, timeout_seconds=1), executor=local_executor())
    run = record["runs"][0]
    assert (run["status"], run["reason"]) == ("timed_out", "time limit of 1 s")
    assert record["environments"][run["environment"]] == {"device": "test"}
    assert run["evidence"] == {"float32": {"facts": {"layers": 2}, "problem": None}}
    assert run["log_tail"] == "still here\n" and run["host_peak_bytes"] > 2**20 and len(run["measurements"]) == 1


def test_what_cannot_work_is_refused_before_anything_is_saved() -> None:
    saved: list[Any] = []
    with pytest.raises(ValueError, match="model: there is no model directory 'nothing'"):
        run_foreground(parse_spec(SPEC | {"model": "local:nothing"}), save=saved.append)
    with pytest.raises(ValueError, match="workload: it needs 5003 tokens of context, tiny-llama has 4096"):
        run_foreground(parse_spec(SPEC | {"model": "tiny-llama", "workload": {"options": {"prompt_tokens": 5000, "new_tokens": 3}}}), save=saved.append)
    assert saved == []


def test_an_experiment_with_its_answers_ends_at_a_look_and_nothing_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    early = {"rounds": 12, "stop_early": True, "variants": ["bfloat16"]}
    spec = stand_in("timed-0", tmp_path, monkeypatch, **early)
    record = run_foreground(spec, executor=local_executor(), max_seconds=0)
    assert len(missing(record, spec)) == 22, "one round is no look"
    record = run_foreground(spec, executor=local_executor(), record=record)
    assert [r["round"] for r in record["runs"]] == [r for r in range(5) for _ in range(2)]
    assert missing(record, spec) == [] and exit_code(record) == 0
    again = run_foreground(spec, executor=local_executor(), record=json.loads(json.dumps(record)))
    assert again["runs"] == json.loads(json.dumps(record["runs"])), "resuming it makes no further round"


def test_a_cpu_run_waits_for_the_gpu_runs_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = DeviceLock(Device("cuda:0", "cuda", "a GPU", "here", 2**30))
    assert gpu.try_acquire()
    said: list[str] = []

    def progress(done: int, total: int, text: str) -> None:
        said.append(text)
        if len(said) == 3:
            assert not runs_dir().exists()
            gpu.release()

    record = run_foreground(stand_in("normal", tmp_path, monkeypatch), executor=local_executor(), progress=progress)
    assert [r["status"] for r in record["runs"]] == ["succeeded"]
    assert said[2].startswith("baseline, speed, round 1 of 1: waiting: cpu waits for runs on other devices")
