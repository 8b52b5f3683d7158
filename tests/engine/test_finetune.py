"""A tiny encoder is fine-tuned in the real child: it learns, writes a classifier, and does so alike twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine import bundled_encoders
from tests.conftest import make_tiny


def test_learns_and_is_reproducible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_tiny(tmp_path / "tiny", "bert")
    rows = [{"text": f"{'good' if i % 2 else 'bad'} film {i}", "label": i % 2} for i in range(64)]
    for name in ("train", "heldout"):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    monkeypatch.setattr(bundled_encoders, "RECIPE", bundled_encoders.RECIPE | {"learning_rate": 1e-3, "batch": 8, "epochs": 8})
    sources = tmp_path / "tiny", tmp_path / "train.jsonl", tmp_path / "heldout.jsonl"
    shown = [bundled_encoders.finetune(*sources, tmp_path / out) for out in ("a", "b")]
    assert shown[0]["held_out_accuracy"] > 0.9 and shown[0]["held_out_examples"] == 64
    assert shown[0] == shown[1]
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()


def test_a_failure_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^out: could not be fine-tuned \(exit 1\)"):
        bundled_encoders.finetune(tmp_path / "none", tmp_path / "t", tmp_path / "h", tmp_path / "out")
