"""Does the product's measurement equal a bare transformers loop? Prints the median ratio over alternated pairs.

Each pair is two fresh processes of the same calls: this product's worker through its executor, and a script of twenty lines.
The order inside a pair alternates. A ratio of 1.00 means that the harness adds nothing to what it measures.
Usage: python -m tests.benchmarks.bench_overhead [--pairs 10] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from engine import settings
from engine.devices import find_device, usable_cpus
from engine.executor import LocalExecutor
from engine.presets import parse_spec
from engine.run_spec import run_spec
from engine.specs import PlannedRun, RunKind

PROMPT, NEW, REPEATS, WARMUPS = 128, 32, 5, 3

BARE = """
import json, sys, time, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.generation.streamers import BaseStreamer
folder, text, device, prompt, new, repeats, warmups, threads = *sys.argv[1:4], *map(int, sys.argv[4:])
torch.set_num_threads(threads)
class Stamps(BaseStreamer):
    def __init__(self): self.t = []
    def put(self, value): self.t.append(time.perf_counter())
    def end(self): pass
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval().to(device)
ids = tokenizer(open(text, encoding="utf-8").read()[:20000], return_tensors="pt").input_ids[:, :prompt].to(device)
ttft, decode = [], []
for i in range(warmups + repeats):
    s = Stamps(); start = time.perf_counter()
    model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, min_new_tokens=new, max_new_tokens=new, pad_token_id=0, streamer=s)
    if i >= warmups:
        ttft.append(s.t[1] - start); decode.append((new - 1) / (s.t[-1] - s.t[1]))
print(json.dumps({"ttft_seconds": ttft, "decode_tokens_per_second": decode}))
"""


def product(folder: Path, kind: str = "cpu") -> dict[str, float]:
    """Metric -> value of one run of the product in a fresh folder. kind: cpu or cuda."""
    spec = parse_spec({
        "title": "overhead", "model": "smollm2-135m", "device": kind, "baseline": "float32", "variants": ["float32"],
        "workload": {"options": {"prompt_tokens": PROMPT, "new_tokens": NEW, "repeats": REPEATS, "max_warmups": WARMUPS, "quality_tokens": 0}},
    })  # fmt: skip
    device, executor = find_device(kind), LocalExecutor()
    handle = executor.start(run_spec(spec, PlannedRun(0, 0, RunKind.SPEED), device), folder, device=device)
    while (result := executor.poll(handle)) is None:
        time.sleep(0.2)
    assert result.status == "succeeded", result
    return {m.metric: m.value for m in result.measurements if m.value is not None}


def bare(kind: str = "cpu") -> dict[str, float]:
    """The same metrics by the script alone."""
    arguments = [
        settings.bundled_models_dir() / "smollm2-135m", settings.texts_dir() / "wikitext2-test.txt", kind,
        PROMPT, NEW, REPEATS, WARMUPS, usable_cpus(),
    ]  # fmt: skip
    out = subprocess.run(
        [sys.executable, "-c", BARE, *map(str, arguments)], check=True, capture_output=True, text=True,
        env=os.environ | {"OMP_NUM_THREADS": str(usable_cpus())},
    )  # fmt: skip
    return {k: statistics.median(v) for k, v in json.loads(out.stdout.splitlines()[-1]).items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    ratios: dict[str, list[float]] = {"ttft_seconds": [], "decode_tokens_per_second": []}
    with tempfile.TemporaryDirectory() as folder:
        for pair in range(options.pairs):
            first, second = (product(Path(folder) / str(pair)), bare()) if pair % 2 == 0 else (bare(), product(Path(folder) / str(pair)))
            ours, theirs = (first, second) if pair % 2 == 0 else (second, first)
            for name in ratios:
                ratios[name].append(ours[name] / theirs[name])
            print(f"pair {pair + 1}: " + ", ".join(f"{n} {r[-1]:.4f}" for n, r in ratios.items()), file=sys.stderr)
    summary = {n: {"median_ratio": statistics.median(r), "ratios": r} for n, r in ratios.items()}
    if options.json:
        print(json.dumps(summary))
    for name, row in summary.items():
        print(f"{name}: product / bare loop = {row['median_ratio']:.4f} (median of {options.pairs} pairs)", file=sys.stderr if options.json else sys.stdout)


if __name__ == "__main__":
    main()
