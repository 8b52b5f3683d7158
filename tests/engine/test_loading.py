"""Models come from where they should, in a safe format, or not at all."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError

from engine.catalogue import SHAPES
from engine.devices import find_device
from engine.loading import checkpoint, load_session
from engine.memory import storage_bytes
from engine.modelspec import ModelSpec
from engine.registry import discover
from engine.shapes import build_shape
from engine.technique import ModelPlan


def local(name: str) -> ModelSpec:
    return ModelSpec(source="local", name=name)


@pytest.mark.case("T30")
def test_missing_model_names_the_way_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'nothing' is not in .*; put its directory below"):
        checkpoint(local("nothing"), tmp_path, tmp_path)
    with pytest.raises(ValueError, match="python -m engine.bundled"):
        checkpoint(ModelSpec(source="bundled", name="smollm2-135m"), tmp_path, tmp_path)


@pytest.mark.case("T30")
def test_a_link_out_of_the_root_is_refused(tiny_model_root: Path, tmp_path: Path) -> None:
    (tmp_path / "escape").symlink_to(tiny_model_root / "tiny")
    with pytest.raises(ValueError, match="leads out of"):
        checkpoint(local("escape"), tmp_path, tmp_path)


class _Marker:
    """Pickled weights that leave a file behind when somebody loads them."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.case("T27")
@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
def test_pickled_weights_are_not_loaded_under_any_name(name: str, tiny_model_root: Path, tmp_path: Path) -> None:
    marker, folder = tmp_path / "marker", tmp_path / "evil"
    folder.mkdir()
    for file in (tiny_model_root / "tiny").iterdir():
        if file.suffix != ".safetensors":
            (folder / file.name).write_bytes(file.read_bytes())
    (folder / name).write_bytes(pickle.dumps(_Marker(marker)))
    with pytest.raises((ValueError, OSError, SafetensorError), match=r"unsafe weights formats|header|safetensors"):
        load_session(local("evil"), [], find_device("cpu"), 0, tmp_path, tmp_path, tmp_path)
    assert not marker.exists()
    pickle.loads((folder / name).read_bytes())  # noqa: S301
    assert marker.exists(), "the trap works"


@pytest.mark.case("T28")
def test_remote_code_is_not_run(tiny_model_root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "remote"
    folder.mkdir()
    for file in (tiny_model_root / "tiny").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "evil", "auto_map": {"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'marker')!r}, 'w')")
    with pytest.raises(Exception, match="trust_remote_code|custom code|evil"):
        load_session(local("remote"), [], find_device("cpu"), 0, tmp_path, tmp_path, tmp_path)
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("name", SHAPES)
def test_stated_parameters_of_shapes_are_true(name: str) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(SHAPES[name].model_type, **SHAPES[name].config)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    model.tie_weights()
    assert sum(p.numel() for p in model.parameters()) == SHAPES[name].parameters
    assert SHAPES[name].positions == config.max_position_embeddings


@pytest.mark.parametrize("technique", ["float32", "bfloat16", "bnb_int8", "bnb_4bit"])
def test_shapes_have_memory_and_finite_outputs(technique: str) -> None:
    plan = discover().technique(technique).prepare(ModelPlan(dtype="float32"))
    model = build_shape(SHAPES["tiny-llama"], plan, "cpu").eval()
    with torch.inference_mode():
        assert torch.isfinite(model(torch.tensor([[1, 2, 3, 4]])).logits).all()
    assert not any(t.is_meta for t in [*model.parameters(), *model.buffers()])
    full = SHAPES["tiny-llama"].parameters * 4
    expected = {"float32": (1.0, 1.01), "bfloat16": (0.5, 0.51), "bnb_int8": (0.90, 0.96), "bnb_4bit": (0.86, 0.95)}[technique]
    assert expected[0] * full <= storage_bytes(model) <= expected[1] * full
