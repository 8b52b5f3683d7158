"""Layered environments: made whole or made again, found without importing anything, and really what a run is started in."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine import environments
from engine.devices import Device
from engine.environments import CORE, ENVIRONMENTS, LayeredEnvironment
from engine.executor import LocalExecutor
from engine.measurement import Status
from engine.modelspec import ModelSpec
from engine.registry import discover
from engine.run_spec import RunSpec
from engine.settings import REPOSITORY
from engine.specs import RunKind, TechniqueSpec, VariantSpec
from engine.technique import environment_of, unsupported_stack
from tests.engine.processes import wait_for

CPU = Device("cpu", "cpu", "a CPU", "here", 2**34)
GPU = Device("cuda:0", "cuda", "a GPU", "here", 2**37, (9, 0), "GPU-0")


@pytest.fixture
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAB_ENVIRONMENTS", str(tmp_path))
    return tmp_path


@pytest.fixture
def small(nothing_installed: Path, monkeypatch: pytest.MonkeyPatch) -> LayeredEnvironment:
    """An environment that adds one package from a folder, so that making it needs no network."""
    package = nothing_installed / "source"
    (package / "layered_only").mkdir(parents=True)
    (package / "layered_only" / "__init__.py").write_text("")
    (package / "pyproject.toml").write_text('[project]\nname = "layered-only"\nversion = "1"\n')
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(nothing_installed), str(package)]
    subprocess.run(command, check=True, capture_output=True)
    (nothing_installed / "requirements.txt").write_text(str(next(nothing_installed.glob("*.whl"))))
    monkeypatch.setattr(environments, "REPOSITORY", nothing_installed)
    return LayeredEnvironment("small", "requirements.txt")


def python(environment: LayeredEnvironment, code: str) -> str:
    command = [str(environment.python), "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=REPOSITORY).stdout.strip()


def test_made_once_layered_over_the_core(small: LayeredEnvironment) -> None:
    assert small.missing(()) == "needs the small environment: python -m engine.environments small"
    assert small.make() and small.installed()
    assert small.missing(("layered_only", "torch")) is None
    assert small.missing(("no_such_package",)) == "needs no_such_package in the small environment: python -m engine.environments small"
    import torch

    found = python(small, "import importlib.util as u; print(u.find_spec('torch').origin, u.find_spec('layered_only').origin)").split()
    assert Path(found[0]).resolve() == Path(torch.__file__).resolve(), "torch is shared"
    assert Path(found[1]).is_relative_to(small.folder)
    made = small.folder.stat().st_ctime_ns
    assert not small.make() and small.folder.stat().st_ctime_ns == made, "a second call is a look at the stamp"


def test_an_interrupted_or_outdated_one_is_made_again(small: LayeredEnvironment) -> None:
    small.make()
    (small.folder / "installed").unlink()  # comes last, so it is what an interrupted installation lacks
    (small.packages / "half").mkdir()
    assert not small.installed() and small.make() and small.installed()
    assert not (small.packages / "half").exists()
    requirements = environments.REPOSITORY / small.requirements
    requirements.write_text(requirements.read_text() + "\n# another list")
    assert not small.installed() and small.make() and small.installed()


def test_a_failed_installation_does_not_count(small: LayeredEnvironment, capfd: pytest.CaptureFixture[str]) -> None:
    (environments.REPOSITORY / small.requirements).write_text("./no_such_file.whl")
    with pytest.raises(ValueError, match=r"pip could not install requirements\.txt"):
        small.make()
    assert not small.installed()
    assert "no_such_file" in capfd.readouterr().err


def test_the_command_refuses_unknown_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert environments.main(["nonsense"]) == 2
    assert "usage: python -m engine.environments onnx|tensorrt|hqq|gptq" in capsys.readouterr().err


def test_the_real_one_has_what_optimum_needs_and_shares_torch(onnx_environment: LayeredEnvironment) -> None:
    assert onnx_environment.missing(("optimum", "onnxruntime", "onnx", "torch")) is None
    assert not (onnx_environment.packages / "torch").exists()
    pins = [line for line in (REPOSITORY / onnx_environment.requirements).read_text().splitlines() if line and line[0] != "#"]
    assert pins and all("==" in pin for pin in pins)
    code = f"import importlib.metadata as m; assert all(m.version(n) == v for n, v in {[tuple(p.split('==')) for p in pins]!r})"
    python(onnx_environment, code)


@pytest.mark.parametrize("name", ["onnxruntime", "onnxruntime_int8", "tensorrt"])
def test_without_its_environment_a_technique_names_the_command(nothing_installed: Path, name: str) -> None:
    technique = discover().technique(name)
    model, workload = ModelSpec(source="bundled", name="smollm2-135m"), discover().workload("generation")
    reason = f"{name}: needs the {technique.environment} environment: python -m engine.environments {technique.environment}"
    assert {unsupported_stack([technique], device, model, workload) for device in (CPU, GPU)} == {reason}


def test_a_stack_has_one_environment() -> None:
    float32, ort = discover().technique("float32"), discover().technique("onnxruntime")
    assert (environment_of([]), environment_of([float32]), environment_of([float32, ort])) == (CORE, CORE, "onnx")

    class OtherSlot(type(discover().technique("kv_cache"))):  # type: ignore[misc]
        environment = "tensorrt"

    with pytest.raises(ValueError, match="onnxruntime runs in the onnx environment and kv_cache in the tensorrt environment; keep one"):
        environment_of([ort, float32, OtherSlot()])
    with pytest.raises(ValueError, match="both set the 'runtime' slot"):
        VariantSpec(stack=("onnxruntime", "tensorrt"))


def run(stack: list[str], root: Path, tmp_path: Path) -> tuple[Status, str | None, dict[str, Any]]:
    options = {"prompt_tokens": 4, "new_tokens": 4, "repeats": 1, "max_warmups": 1, "quality_tokens": 0}
    spec = RunSpec(
        kind=RunKind.SPEED, model=ModelSpec(source="local", name="tiny"), stack=tuple(TechniqueSpec(technique=t) for t in stack),
        baseline_stack=(), workload={"name": "generation", "options": options}, device=CPU.to_json(), seed=0, threads=2,
        models_dir=str(root), local_models_dir=str(root), texts_dir=str(tmp_path), artifacts_dir=str(tmp_path / "artifacts"),
    )  # fmt: skip
    executor = LocalExecutor()
    handle = executor.start(spec, tmp_path / f"run{len(stack)}", device=CPU)
    result = wait_for(lambda: executor.poll(handle), 120)
    return result.status, result.reason, result.environment


@pytest.mark.slow
def test_the_executor_starts_the_interpreter_that_the_stack_names(
    onnx_environment: LayeredEnvironment, tiny_model_root: Path, tmp_path: Path
) -> None:
    status, reason, layered = run(["onnxruntime"], tiny_model_root, tmp_path)
    assert (status, reason) == (Status.SUCCEEDED, None)
    own = layered.pop("layered")
    assert own["environment"] == "onnx" and own["packages"]["transformers"] == "4.57.6" and "onnxruntime" in own["packages"]
    status, reason, core = run([], tiny_model_root, tmp_path)
    assert (status, reason) == (Status.SUCCEEDED, None)
    assert core["packages"]["transformers"].startswith("5.")
    assert core == layered, "all else is equal, so that the two may be compared"


def test_a_run_without_its_environment_ends_unsupported(nothing_installed: Path, tiny_model_root: Path, tmp_path: Path) -> None:
    status, reason, _ = run(["onnxruntime"], tiny_model_root, tmp_path)
    assert (status, reason) == (Status.UNSUPPORTED, "onnxruntime: needs the onnx environment: python -m engine.environments onnx")


def test_the_doctor_lists_them(nothing_installed: Path) -> None:
    from engine.doctor import examine, lines

    report = json.loads(json.dumps(examine()))
    assert set(report["environments"]) == set(ENVIRONMENTS)
    assert "environment onnx: not installed: python -m engine.environments onnx" in lines(report)
