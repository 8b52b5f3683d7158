"""Perplexity equals an independent script; the reference is made again where absent; fidelity to itself is perfect."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.devices import find_device
from engine.loading import load_session
from engine.measurement import Measurement, Status
from engine.meter import Meter
from engine.modelspec import ModelSpec
from engine.quality import KEPT_REFERENCES, QualityReference, measure, windows, write_reference
from engine.registry import discover
from engine.technique import Session
from engine.texts import load_text

MODEL = ModelSpec(source="local", name="tiny")


def load(root: Path, *names: str) -> Session:
    return load_session(MODEL, [discover().technique(n) for n in names], find_device("cpu"), 0, root, root, root)


def measured(session: Session, reference: QualityReference, run_dir: Path, tokens: int = 512, context: int = 256) -> dict[str, Measurement]:
    meter = Meter(run_dir, "cpu")
    measure(session, meter, windows(session, load_text(run_dir).content, tokens, context), reference, {})
    return {m.metric: m for m in meter.recorded}


def reference(folder: Path, *, is_baseline: bool) -> QualityReference:
    return QualityReference(folder / "logits", {"model": "tiny"}, is_baseline)


def test_perplexity_equals_five_lines_of_transformers(tiny_model_root: Path, tmp_path: Path) -> None:
    session = load(tiny_model_root)
    found = measured(session, reference(tmp_path, is_baseline=True), tmp_path)["perplexity"]
    ids = session.tokenizer(load_text(tmp_path).content[:20000], return_tensors="pt").input_ids[:, :512]
    with torch.no_grad():
        losses = [session.model(c, labels=c).loss.item() for c in ids.split(256, dim=1)]
    assert found.value == pytest.approx(math.exp(sum(losses) / 2), rel=1e-5)
    assert len(found.samples) == 4, "blocks of 128 positions"


def test_the_baseline_against_itself_is_perfect(tiny_model_root: Path, tmp_path: Path) -> None:
    session = load(tiny_model_root)
    measured(session, reference(tmp_path, is_baseline=True), tmp_path)
    again = measured(session, reference(tmp_path, is_baseline=False), tmp_path)
    assert again["kl_divergence"].value == pytest.approx(0, abs=1e-6)
    assert again["top1_agreement"].value == 1.0


def test_kl_equals_torch(tiny_model_root: Path, tmp_path: Path) -> None:
    base, other = load(tiny_model_root), load(tiny_model_root, "bnb_4bit")
    measured(base, reference(tmp_path, is_baseline=True), tmp_path)
    found = measured(other, reference(tmp_path, is_baseline=False), tmp_path)
    total = n = 0.0
    for chunk in windows(base, load_text(tmp_path).content, 512, 256):
        with torch.inference_mode():
            p, q = (torch.log_softmax(s.model(chunk).logits[0, :-1].float(), -1) for s in (base, other))
        total += torch.nn.functional.kl_div(q, p, log_target=True, reduction="sum").item()
        n += p.shape[0]
    assert found["kl_divergence"].value == pytest.approx(total / n, rel=1e-3)
    assert total / n > 0


def test_reference_written_alone_is_the_same_file(tiny_model_root: Path, tmp_path: Path) -> None:
    session = load(tiny_model_root)
    measured(session, first := reference(tmp_path / "a", is_baseline=True), tmp_path)
    write_reference(session, windows(session, load_text(tmp_path).content, 512, 256), second := reference(tmp_path / "b", is_baseline=True))
    assert first.path.read_bytes() == second.path.read_bytes()
    assert not list(second.folder.glob("*.tmp"))


@pytest.mark.parametrize(
    ("tokens", "context", "message"),
    [(1024, 1024, "quality_context: the model has 512 positions"), (5_000_000, 256, "quality_tokens: the text has")],
)
def test_refusals(tokens: int, context: int, message: str, tiny_model_root: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        windows(load(tiny_model_root), load_text(tmp_path).content, tokens, context)


def test_full_disk_leaves_the_baseline_its_perplexity(tiny_model_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        free = 2**20

    session = load(tiny_model_root)
    expected = measured(session, reference(tmp_path, is_baseline=True), tmp_path)["perplexity"]
    shutil.rmtree(tmp_path / "logits")
    monkeypatch.setattr("engine.quality.shutil.disk_usage", lambda path: Full)
    found = measured(session, full := reference(tmp_path, is_baseline=True), tmp_path)
    assert found == {"perplexity": expected}
    assert "could not be kept: no_disk: the baseline's outputs need" in (full.problem or "")
    assert not list((tmp_path / "logits").iterdir()), "said before anything is written"
    with pytest.raises(OSError, match="no_disk"):
        write_reference(session, windows(session, load_text(tmp_path).content, 512, 256), full)


def test_without_a_reference_fidelity_says_why_and_perplexity_is_measured(tiny_model_root: Path, tmp_path: Path) -> None:
    absent = reference(tmp_path, is_baseline=False)
    absent.problem = "the baseline did not fit"
    found = measured(load(tiny_model_root), absent, tmp_path)
    assert found["perplexity"].value
    for name in ("kl_divergence", "top1_agreement"):
        assert (found[name].status, found[name].reason, found[name].value) == (Status.FAILED, "the baseline did not fit", None)


def test_what_killed_processes_left_is_swept_away(tiny_model_root: Path, tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    folder = reference(tmp_path, is_baseline=True).folder
    folder.mkdir()
    stale, own, alive, other = (folder / f"{name}.tmp" for name in (f"a.{ended.pid}", f"b.{os.getpid()}", f"c.{os.getppid()}", "notes"))
    for path in (stale, own, alive, other):
        path.write_bytes(b"unfinished")
    measured(load(tiny_model_root), reference(tmp_path, is_baseline=True), tmp_path)
    assert not stale.exists() and not own.exists(), "a number that is ours again was given to another before"
    assert alive.exists() and other.exists()


def test_broken_model_has_no_perplexity(tiny_model_root: Path, tmp_path: Path) -> None:
    session: Any = load(tiny_model_root)
    with torch.no_grad():
        session.model.lm_head.weight.fill_(float("nan"))
    with pytest.raises(ValueError, match="not numbers"):
        measured(session, reference(tmp_path, is_baseline=True), tmp_path)
    assert not list((tmp_path / "logits").glob("*")), "nobody may be compared with it"


def test_only_the_newest_references_stay_on_disk(tiny_model_root: Path, tmp_path: Path) -> None:
    session = load(tiny_model_root)
    files = []
    for number in range(KEPT_REFERENCES + 2):
        one = QualityReference(tmp_path / "logits", {"model": "tiny", "number": number}, is_baseline=True)
        measured(session, one, tmp_path, tokens=128, context=128)
        files.append(one.path)
    assert [p.exists() for p in files] == [False, False] + [True] * KEPT_REFERENCES
