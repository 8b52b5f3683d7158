"""Is the fp32 accuracy of `int8-vs-fp32-classifier` that of plain transformers? A loop of its own, one review at a time.

Usage: python -m engine run int8-vs-fp32-classifier --bundle OUT.json; python -m tests.benchmarks.compare_classifier OUT.json
Exit code 1 where they differ by more than 0.1 %.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from engine import settings


def accuracy(folder: Path, reviews: Path, examples: int, max_length: int) -> float:
    """Uses nothing of the product but the files."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model, tokenizer = AutoModelForSequenceClassification.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    rows = [json.loads(line) for line in reviews.read_text(encoding="utf-8").split("\n") if line][:examples]
    with torch.no_grad():
        said = [model(**tokenizer(r["text"], truncation=True, max_length=max_length, return_tensors="pt")).logits.argmax().item() for r in rows]
    return sum(s == r["label"] for s, r in zip(said, rows, strict=True)) / len(rows)


def main(bundle: Path) -> int:
    record = json.loads(bundle.read_text())
    spec = record["experiment"]["spec"]
    base = next(i for i, v in enumerate(record["variants"]) if v["baseline"])
    run = next(r for r in record["runs"] if r["variant"] == base and r["kind"] == "quality")
    measured = next(m for m in run["measurements"] if m["metric"] == "accuracy")
    if spec["workload"]["options"].get("dataset", "reviews") != "reviews" or spec["model"]["source"] != "bundled":
        raise SystemExit("it knows the bundled reviews and their classifier only")
    length = spec["workload"]["options"].get("max_length", 128)
    folder = settings.bundled_models_dir() / spec["model"]["name"]
    alone = accuracy(folder, settings.texts_dir() / "reviews-heldout.jsonl", measured["point"]["examples"], length)
    print(f"{measured['point']['examples']} reviews: the run {measured['value']:.4f}, plain transformers {alone:.4f}")
    return int(abs(measured["value"] - alone) > 0.001)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.benchmarks.compare_classifier BUNDLE.json")
    sys.exit(main(Path(sys.argv[1])))
