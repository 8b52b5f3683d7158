"""Tiny models of every kind, small labelled sets, and runs through the real child process."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine import settings
from engine.devices import find_device
from engine.executor import LocalExecutor
from engine.measurement import RunResult
from engine.presets import parse_spec
from engine.record import Record, add_run, new_record
from engine.run_spec import run_spec
from engine.specs import ExperimentSpec, PlannedRun, RunKind, expand
from tests.conftest import make_tiny
from tests.engine.changed_worker import ChangedExecutor

Run = Callable[..., RunResult]


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the local models `tiny-bert` (a classifier) and `tiny-llama`."""
    root = tmp_path_factory.mktemp("tiny")
    for kind in ("bert", "llama"):
        make_tiny(root / f"tiny-{kind}", kind)
    return root


@pytest.fixture(autouse=True)
def local_models(tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_MODELS", str(tiny_models))


@pytest.fixture
def texts(own_data: Path) -> Path:
    """Labelled texts of random words, in the files that the bundled sets have."""
    folder = settings.texts_dir()
    folder.mkdir(parents=True)
    draw = random.Random(1)
    words = ["the", "cat", "sat", "on", "mat", "and", "dog", "log", "good", "bad", "film", "plot", "dull", "bright"]

    def text(most: int) -> str:
        return " ".join(draw.choices(words, k=draw.randint(2, most)))

    write(folder / "reviews-heldout.jsonl", [{"text": text(20), "label": draw.randint(0, 1)} for _ in range(100)])
    write(folder / "piqa-validation.jsonl", [
        {"question": text(8), "choices": [text(4), text(12)], "label": draw.randint(0, 1)} for _ in range(40)
    ])  # fmt: skip
    return folder


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def spec_of(model: str, workload: str, *variants: str, rounds: int = 1, **options: Any) -> ExperimentSpec:
    """The baseline is the model as it is stored."""
    return parse_spec({
        "title": "t", "model": model, "rounds": rounds, "workload": {"name": workload, "options": options}, "variants": list(variants),
    })  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs one variant in the real child process. before: Python that the child runs before its work, to make a fault real."""

    def one(spec: ExperimentSpec, variant: int, kind: RunKind, before: str = "") -> RunResult:
        return _child(spec, PlannedRun(variant, 0, kind), tmp_path, before)

    return one


@pytest.fixture
def run_all(tmp_path: Path) -> Callable[[ExperimentSpec], Record]:
    """Runs a whole experiment and returns its record."""

    def every(spec: ExperimentSpec) -> Record:
        record = new_record(spec)
        for planned in expand(spec):
            result = _child(spec, planned, tmp_path)
            add_run(record, planned, result, device="cpu:here", seconds=1.0, started_at="2026-01-02T03:04:05Z")
        return json.loads(json.dumps(record))  # type: ignore[no-any-return]

    return every


def _child(spec: ExperimentSpec, planned: PlannedRun, folder: Path, before: str = "") -> RunResult:
    device, executor = find_device("cpu"), ChangedExecutor(before) if before else LocalExecutor()
    handle = executor.start(run_spec(spec, planned, device), folder / f"run{time.monotonic_ns()}", device=device)
    while (result := executor.poll(handle)) is None:
        time.sleep(0.05)
    return result
