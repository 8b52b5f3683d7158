"""ONNX Runtime against PyTorch: same function, same tokens, true evidence. What runs it is tests/experiments/onnx_child.py."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from engine.devices import Device, find_device
from engine.environments import LayeredEnvironment
from engine.loading import weight_bytes
from engine.modelspec import ModelSpec
from engine.registry import discover
from engine.settings import REPOSITORY
from engine.technique import unsupported_stack
from experiments.runtime.onnx_files import choose_instruction_set
from tests.experiments.onnx_child import load, outputs
from tests.tiny_model import make

CPU = find_device("cpu")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose rotary base is not the default one: transformers 4 overlooks where transformers 5 writes it."""
    folder = make(tmp_path_factory.mktemp("models") / "tiny")
    config = json.loads((folder / "config.json").read_text())
    config["rope_parameters"]["rope_theta"] = 50.0
    (folder / "config.json").write_text(json.dumps(config))
    small = dict(hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128, max_position_embeddings=64)
    torch.manual_seed(0)
    bert = AutoModelForSequenceClassification.from_config(AutoConfig.for_model("bert", vocab_size=300, num_labels=2, **small))
    bert.save_pretrained(folder.parent / "encoder")
    for file in folder.glob("tokenizer*"):
        shutil.copy(file, folder.parent / "encoder")
    return folder.parent


@pytest.fixture(scope="module")
def found(root: Path, onnx_environment: LayeredEnvironment, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the child found, and under "core" what this process finds of the unchanged model."""
    artifacts = tmp_path_factory.mktemp("artifacts")
    command = [str(onnx_environment.python), "-m", "tests.experiments.onnx_child", str(root), str(artifacts)]
    child = subprocess.run(command, check=False, cwd=REPOSITORY, capture_output=True, text=True, env=os.environ | {"TMPDIR": str(artifacts)})
    assert child.returncode == 0, child.stderr[-4000:]
    here = load(root, artifacts)
    folders = sorted(p.name for p in (artifacts / "onnx").iterdir())
    left = [p.name for p in artifacts.iterdir() if p.name != "onnx"]
    return json.loads(child.stdout) | {"core": outputs(here) | {"weight_bytes": weight_bytes(here)}, "folders": folders, "left": left}


def difference(a: dict[str, Any], b: dict[str, Any]) -> float:
    return float((torch.tensor(a["logits"]) - torch.tensor(b["logits"])).abs().max())


def test_the_older_transformers_loads_the_same_model(found: dict[str, Any]) -> None:
    assert found["transformers"] == "4.57.6"
    assert difference(found["plain"], found["core"]) < 1e-5
    assert found["plain"]["tokens"] == found["core"]["tokens"]


def test_float32_is_the_same_function(found: dict[str, Any]) -> None:
    assert difference(found["onnxruntime"], found["core"]) < 1e-4
    assert found["onnxruntime"]["tokens"] == found["core"]["tokens"]
    assert len(found["core"]["tokens"][0]) == 8 + 16
    assert found["onnxruntime"]["cache_bytes"] == found["core"]["cache_bytes"] > 0


def test_float32_evidence_is_the_real_session(found: dict[str, Any]) -> None:
    evidence = found["onnxruntime"]["evidence"]
    assert evidence["providers"] == ["CPUExecutionProvider"]
    ran = evidence["nodes_on_CPUExecutionProvider"]
    assert evidence["nodes_by_provider"] == {"CPUExecutionProvider": sum(ran.values())}
    assert ran["MatMul"] + ran["FusedMatMul"] == evidence["nodes_in_file"]["MatMul"] == 2 * 7 + 1 + 2 * 2 + 1
    assert evidence["threads"] == torch.get_num_threads()


@pytest.mark.parametrize("name", ["onnxruntime_int8", "per_channel"])
def test_int8_products_are_in_the_file_and_ran(found: dict[str, Any], name: str) -> None:
    evidence = found[name]["evidence"]
    assert evidence["integer_products_in_file"] == evidence["integer_products_run"] >= 2 * 7 + 1
    assert evidence["activations_quantized_at_calls"] > 0
    assert evidence["per_channel"] is (name == "per_channel")
    assert 0 < difference(found[name], found["core"]) < 0.35 * torch.tensor(found["core"]["logits"]).abs().max()


def test_weights_are_counted_in_the_file(found: dict[str, Any]) -> None:
    """float32 has the torch model's bytes but for its table of rotary frequencies; int8 has about a quarter."""
    whole = found["core"]["weight_bytes"]
    assert found["onnxruntime"]["weight_bytes"] == pytest.approx(whole, rel=0.01)
    assert found["onnxruntime_int8"]["weight_bytes"] == pytest.approx(whole / 4, rel=0.05)
    assert found["onnxruntime_int8"]["weight_bytes"] < found["per_channel"]["weight_bytes"] < whole / 3


@pytest.mark.parametrize(
    ("head", "name"), [("classifier", "ORTModelForSequenceClassification"), ("encoder", "ORTModelForFeatureExtraction")]
)
def test_classifiers_and_encoders_have_their_own_class(found: dict[str, Any], head: str, name: str) -> None:
    plain, float32, int8 = (found[head][k] for k in ("plain", "float32", "int8"))
    assert difference(float32, plain) < 1e-4
    assert 0 < difference(int8, plain) < 0.35 * torch.tensor(plain["logits"]).abs().max()
    assert float32["class"] == int8["class"] == name and plain["class"].startswith("Bert")
    assert (plain["evidence"], float32["evidence"], int8["evidence"]) == (["model"], ["onnxruntime"], ["onnxruntime_int8"])


def test_sabotage_is_found_out(found: dict[str, Any]) -> None:
    assert found["sabotaged"] == {
        "onnxruntime: nothing": "not applied: onnxruntime: the model is a PyTorch model, not a session of ONNX Runtime",
        "onnxruntime_int8: nothing": "not applied: onnxruntime_int8: the model is a PyTorch model, not a session of ONNX Runtime",
        "onnxruntime_int8: float32 graph": "not applied: onnxruntime_int8: no integer matrix product is in the graph, or none was run",
        "onnxruntime_int8: other scales": "not applied: onnxruntime_int8: the file was quantized with per_channel=True",
    }


def test_a_profile_has_the_parts_of_the_generation_and_no_shares(found: dict[str, Any]) -> None:
    """torch's profiler does not see into another runtime, so shares of what it sees would be shares of next to nothing."""
    profile = found["profile"]
    assert {r["name"]: r["calls"] for r in profile["regions"]} == {"prefill": profile["steps"], "decode": 3 * profile["steps"]}
    assert profile["shares"] is None and "another runtime than torch" in profile["shares_not_measured"]
    assert profile["trace"]["sha256"] and "aten::argmax" in {o["name"] for o in profile["operators"]}


def test_exports_are_made_once_and_whole(found: dict[str, Any]) -> None:
    """Of the language model float32, int8 and int8 per channel, of classifier and encoder two each; no profile is left behind."""
    assert len(found["folders"]) == 3 + 2 + 2 and not [n for n in found["folders"] if n.startswith("unfinished")]
    assert not [n for n in found["left"] if n.startswith("onnxruntime-")]


@pytest.mark.parametrize(
    ("flags", "preset"),
    [({"avx2", "avx512f", "avx512_vnni"}, "avx512_vnni"), ({"avx2", "avx512f"}, "avx512"), ({"avx2", "avx_vnni"}, "avx2"), ({"asimd"}, "arm64")],
)
def test_the_cpu_chooses_the_quantization(flags: set[str], preset: str) -> None:
    assert choose_instruction_set(flags) == preset


def test_a_cpu_without_vector_instructions_is_refused() -> None:
    with pytest.raises(ValueError, match="this one has none of them"):
        choose_instruction_set({"sse2"})


def reason(name: str, options: dict[str, Any], model: str = "smollm2-135m", beside: str | None = None, kind: str = "cpu") -> str | None:
    stack = [discover().technique(name, options), *([discover().technique(beside)] if beside else [])]
    device = CPU if kind == "cpu" else Device("cuda:0", "cuda", "a GPU", "here", 2**37, (9, 0), "GPU-0")
    return unsupported_stack(stack, device, ModelSpec.model_validate(model), discover().workload("generation"))


def test_what_it_cannot_do_has_a_reason(onnx_environment: LayeredEnvironment) -> None:
    assert reason("onnxruntime", {}) is None and reason("onnxruntime_int8", {}) is None
    assert "no checkpoint to export" in str(reason("onnxruntime", {}, model="gpt2"))
    assert "bfloat16 changes a PyTorch model" in str(reason("onnxruntime", {}, beside="bfloat16"))
    assert "cuda does not run on device cpu; use auto" in str(reason("onnxruntime", {"provider": "cuda"}))
    assert "cpu does not run on device cuda:0" in str(reason("onnxruntime", {"provider": "cpu"}, kind="cuda"))
    for provider, name in (("auto", "CUDAExecutionProvider"), ("tensorrt", "TensorrtExecutionProvider")):
        text = str(reason("onnxruntime", {"provider": provider}, kind="cuda"))
        assert f"has no {name}: python -m pip install" in text and text.endswith("onnxruntime-gpu")
    assert "CPUs only" in str(reason("onnxruntime_int8", {}, kind="cuda"))


def test_an_export_that_fails_says_why(root: Path, onnx_environment: LayeredEnvironment, tmp_path: Path) -> None:
    order = {"task": "text-generation-with-past", "where": str(tmp_path / "none"), "options": {}, "head": "causal_lm", "folder": str(tmp_path)}
    code = f"from experiments.runtime.onnx_files import _in_own_process; _in_own_process({order!r})"
    child = subprocess.run([str(onnx_environment.python), "-c", code], check=False, cwd=REPOSITORY, capture_output=True, text=True)
    assert child.returncode != 0 and "RuntimeError: the model could not be turned into an ONNX file: " in child.stderr
