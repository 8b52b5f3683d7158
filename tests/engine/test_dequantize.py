"""The conversion of a tiny quantized checkpoint: plain float32 files whose numbers are those that the GGUF file stands for."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest
from safetensors.numpy import load_file
from tokenizers.pre_tokenizers import ByteLevel

from engine import bundled, settings
from engine.catalogue import BUNDLED

HIDDEN, FEED_FORWARD, HEADS, LAYERS, VOCABULARY = 64, 96, 2, 1, 258
PARAMETERS = VOCABULARY * HIDDEN + LAYERS * (4 * HIDDEN * HIDDEN + 3 * HIDDEN * FEED_FORWARD + 2 * HIDDEN) + HIDDEN
NAME = "smollm2-135m"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, np.ndarray]]:
    """A llama with tied embeddings in Q4_1 and a byte vocabulary, and the numbers that its matrices stand for."""
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_block_count(LAYERS)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(VOCABULARY)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([*sorted(ByteLevel.alphabet()), "ab", "<|end|>"])
    writer.add_token_types([1] * 257 + [3])
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(257)
    writer.add_eos_token_id(257)
    meaning = _write_tensors(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path, meaning


def _write_tensors(writer: gguf.GGUFWriter) -> dict[str, np.ndarray]:
    random, kind = np.random.default_rng(0), gguf.GGMLQuantizationType.Q4_1
    shapes = {"token_embd": (VOCABULARY, HIDDEN), "blk.0.ffn_gate": (FEED_FORWARD, HIDDEN), "blk.0.ffn_up": (FEED_FORWARD, HIDDEN),
              "blk.0.ffn_down": (HIDDEN, FEED_FORWARD)}  # fmt: skip
    shapes |= {f"blk.0.attn_{n}": (HIDDEN, HIDDEN) for n in ("q", "k", "v", "output")}
    meaning = {}
    for name, shape in shapes.items():
        packed = gguf.quants.quantize(random.normal(size=shape).astype(np.float32), kind)
        writer.add_tensor(f"{name}.weight", packed, raw_dtype=kind)
        meaning[name] = gguf.quants.dequantize(packed, kind)
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(HIDDEN, np.float32))
    return meaning


@pytest.fixture
def known(checkpoint: tuple[Path, dict[str, np.ndarray]], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny checkpoint stands in for the bundled one."""
    path, _ = checkpoint
    _pin(path, monkeypatch)
    monkeypatch.setitem(BUNDLED, NAME, replace(BUNDLED[NAME], parameters=PARAMETERS))
    return path


def _pin(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    member = replace(bundled.MODELS[NAME], sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setitem(bundled.MODELS, NAME, member)


def test_an_ordinary_float32_directory_with_the_same_numbers(known: Path, checkpoint: tuple[Path, dict[str, np.ndarray]]) -> None:
    folder = bundled.prepare_model(NAME, settings.bundled_models_dir(), known)
    config = json.loads((folder / "config.json").read_text())
    assert "quantization_config" not in config
    assert config["dtype"] == "float32"
    tensors = load_file(folder / "model.safetensors")
    assert {t.dtype.name for t in tensors.values()} == {"float32"}
    meaning = checkpoint[1]
    for theirs, ours in {"token_embd": "embed_tokens", "blk.0.ffn_down": "layers.0.mlp.down_proj", "blk.0.attn_v": "layers.0.self_attn.v_proj"}.items():
        np.testing.assert_array_equal(tensors[f"model.{ours}.weight"], meaning[theirs])
    facts = json.loads((folder / "lab.json").read_text())
    assert facts["parameters"] == PARAMETERS
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(facts["files"])

    made = (folder / "model.safetensors").stat().st_mtime_ns
    bundled.prepare_model(NAME, settings.bundled_models_dir())  # there: needs neither file nor network
    assert (folder / "model.safetensors").stat().st_mtime_ns == made


def test_an_incomplete_directory_is_replaced(known: Path) -> None:
    folder = settings.bundled_models_dir() / NAME
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    bundled.prepare_model(NAME, settings.bundled_models_dir(), known)
    assert json.loads((folder / "config.json").read_text())["hidden_size"] == HIDDEN


def test_another_number_of_parameters_is_refused(known: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BUNDLED, NAME, replace(BUNDLED[NAME], parameters=5))
    with pytest.raises(ValueError, match=rf"^{NAME}: {PARAMETERS} parameters, expected 5"):
        bundled.prepare_model(NAME, settings.bundled_models_dir(), known)
    assert not (settings.bundled_models_dir() / NAME).exists()


def test_a_file_that_is_no_checkpoint_is_named(known: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(100))
    _pin(broken, monkeypatch)
    with pytest.raises(ValueError, match=r"^broken\.gguf: could not be converted \(exit 1\)"):
        bundled.prepare_model(NAME, settings.bundled_models_dir(), broken)


def test_another_file_is_refused_by_its_hash(known: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = shutil.copy(known, tmp_path / "other.gguf")
    Path(other).write_bytes(known.read_bytes() + b"x")
    assert bundled.main(["--gguf", str(other), "--models-dir", str(tmp_path / "models")]) == 2
    assert capsys.readouterr().err.startswith(f"error: {other}: sha256 is ")
