"""Child process: an encoder and labelled texts in, a classifier directory out. Imports torch, so nothing imports it.

Usage: python -m engine.finetune ENCODER TRAIN.jsonl HELD_OUT.jsonl DIRECTORY RECIPE_JSON. The last line on stdout is JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer


def finetune(encoder: Path, train: Path, held_out: Path, folder: Path, recipe: dict[str, Any]) -> dict[str, Any]:
    """Write config, tokenizer and float32 safetensors; returns what is worth recording of the result."""
    torch.manual_seed(recipe["seed"])
    tokenizer = AutoTokenizer.from_pretrained(encoder, local_files_only=True)
    rows, test = _rows(train), _rows(held_out)
    model = AutoModelForSequenceClassification.from_pretrained(
        encoder, num_labels=len({r["label"] for r in rows}), dtype=torch.float32, local_files_only=True
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe["learning_rate"])
    model.train()
    for _ in range(recipe["epochs"]):
        order = torch.randperm(len(rows)).tolist()
        for start in range(0, len(rows), recipe["batch"]):
            batch = [rows[i] for i in order[start : start + recipe["batch"]]]
            labels = torch.tensor([r["label"] for r in batch])
            model(**_inputs(tokenizer, batch, recipe), labels=labels).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    model.eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return {
        "held_out_accuracy": _accuracy(model, tokenizer, test, recipe), "held_out_examples": len(test),
        "parameters": sum(p.numel() for p in model.parameters()), "torch": torch.__version__,
    }  # fmt: skip


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def _inputs(tokenizer: Any, rows: list[dict[str, Any]], recipe: dict[str, Any]) -> Any:
    return tokenizer([r["text"] for r in rows], padding=True, truncation=True, max_length=recipe["max_length"], return_tensors="pt")


def _accuracy(model: Any, tokenizer: Any, rows: list[dict[str, Any]], recipe: dict[str, Any]) -> float:
    right = 0
    for start in range(0, len(rows), recipe["batch"]):
        batch = rows[start : start + recipe["batch"]]
        with torch.inference_mode():
            predicted = model(**_inputs(tokenizer, batch, recipe)).logits.argmax(-1).tolist()
        right += sum(p == r["label"] for p, r in zip(predicted, batch, strict=True))
    return right / len(rows)


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit("usage: python -m engine.finetune ENCODER TRAIN.jsonl HELD_OUT.jsonl DIRECTORY RECIPE_JSON")
    encoder, train, held_out, folder = map(Path, sys.argv[1:5])
    print(json.dumps(finetune(encoder, train, held_out, folder, json.loads(sys.argv[5]))))
