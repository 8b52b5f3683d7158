"""The whole path on the real bundled model: its perplexity against an independent script, packed weights, what int8 costs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine.answers.document import document
from engine.foreground import run_foreground
from engine.presets import parse_spec
from engine.settings import REPOSITORY

INDEPENDENT = """
import sys, torch, transformers
model = transformers.AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
ids = transformers.AutoTokenizer.from_pretrained(sys.argv[1])(open(sys.argv[2], encoding="utf-8").read()[:12_288], return_tensors="pt").input_ids[:, :1024]
with torch.no_grad():
    losses = [model(window, labels=window).loss.item() for window in ids.split(256, dim=1)]
print(torch.tensor(losses).mean().exp().item())
"""


@pytest.mark.slow
def test_the_real_model_end_to_end(bundled: Path) -> None:
    spec = parse_spec({
        "title": "real", "model": "smollm2-135m", "rounds": 1, "baseline": "float32", "variants": ["float32", "torch_dynamic_int8", "bnb_4bit"],
        "workload": {"options": {
            "prompt_tokens": 16, "new_tokens": 2, "repeats": 1, "max_warmups": 0, "quality_tokens": 1024, "quality_context": 256,
        }},
    })  # fmt: skip
    result = document(run_foreground(spec), None)
    variants = {v["name"]: v for v in result["variants"]}
    assert {v["status"] for v in variants.values()} == {"succeeded"}, [v["reason"] for v in variants.values()]
    metrics = {name: {m["metric"]: m for m in v["metrics"]} for name, v in variants.items()}
    for name, variant in variants.items():
        assert variant["evidence"][name]["problem"] is None and variant["evidence"][name]["facts"]

    command = [sys.executable, "-c", INDEPENDENT, str(bundled / "models/smollm2-135m"), str(bundled / "texts/wikitext2-test.txt")]
    independent = float(subprocess.run(command, check=True, capture_output=True, text=True, cwd=REPOSITORY).stdout)
    assert metrics["float32"]["perplexity"]["median"] == pytest.approx(independent, rel=0.005)

    # 134,515,008 parameters of 4 bytes, the tied embedding once; 4-bit packs the linear layers, not the embedding
    assert metrics["float32"]["weight_bytes"]["median"] == pytest.approx(4 * 134_515_008, rel=0.001)
    assert metrics["float32"]["bits_per_parameter"]["median"] == pytest.approx(32, rel=0.001)
    assert metrics["bnb_4bit"]["weight_bytes"]["ratio"] <= 0.35
    assert metrics["torch_dynamic_int8"]["perplexity"]["ratio"] > 1.5, "this model loses much, and it is said"
    assert metrics["torch_dynamic_int8"]["perplexity"]["verdict"] == "worse"
    assert json.dumps(result, allow_nan=False)
