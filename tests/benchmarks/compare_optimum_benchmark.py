"""The same work by this product, by optimum-benchmark 0.6.0 and by a bare transformers loop; prints each against the bare loop.

SmolLM2-135M in float32, batch 1, as many prompt and new tokens and repeats for all. Each round runs all of them in fresh processes, in
turning order. optimum-benchmark runs twice: as it comes, where a parent process watches the measurement, and inline, without one; it
has a layered environment of its own, made at the first call, for it needs transformers below 5.
Usage: python -m tests.benchmarks.compare_optimum_benchmark [--rounds 5] [--device cpu]
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import tempfile
from pathlib import Path

from engine import settings
from engine.devices import usable_cpus
from engine.environments import LayeredEnvironment
from engine.statistics import hodges_lehmann, t_interval
from tests.benchmarks.bench_overhead import NEW, PROMPT, REPEATS, WARMUPS, bare, product

METRICS = ("ttft_seconds", "decode_tokens_per_second", "peak_memory_bytes")
ENVIRONMENT = LayeredEnvironment("optimum-benchmark", "tests/benchmarks/requirements-optimum-benchmark.txt")

THEIRS = """
import json, sys
from optimum_benchmark import Benchmark, BenchmarkConfig, InferenceConfig, InlineConfig, ProcessConfig, PyTorchConfig
if __name__ == "__main__":
    folder, launcher, device = sys.argv[1:4]
    prompt, new, repeats, warmups, threads = map(int, sys.argv[4:])
    report = Benchmark.launch(BenchmarkConfig(
        name="compare", launcher=InlineConfig() if launcher == "inline" else ProcessConfig(),
        backend=PyTorchConfig(model=folder, device=device, torch_dtype="float32", task="text-generation", library="transformers",
                              intra_op_num_threads=threads, inter_op_num_threads=1),
        scenario=InferenceConfig(input_shapes={"batch_size": 1, "sequence_length": prompt}, latency=True, memory=True, duration=0,
                                 generate_kwargs={"max_new_tokens": new, "min_new_tokens": new}, warmup_runs=warmups, iterations=repeats),
    ))
    print("REPORT", json.dumps(report.to_dict()))
"""


def theirs(script: Path, launcher: str, device: str) -> dict[str, float]:
    """Median seconds of prefill, tokens/s after it, and peak bytes, as optimum-benchmark reports them."""
    arguments = [settings.bundled_models_dir() / "smollm2-135m", launcher, device, PROMPT, NEW, REPEATS, WARMUPS, usable_cpus()]
    command = [ENVIRONMENT.python, script, *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=script.parent)  # it leaves a log where it runs
    report = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("REPORT")).removeprefix("REPORT"))
    memory = report["decode"]["memory"]
    return {
        "ttft_seconds": statistics.median(report["prefill"]["latency"]["values"]),
        "decode_tokens_per_second": (NEW - 1) / statistics.median(report["decode"]["latency"]["values"]),
        "peak_memory_bytes": 1e6 * (memory["max_ram"] if device == "cpu" else memory["max_allocated"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    options = parser.parse_args()
    ENVIRONMENT.make()
    found: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        script = Path(scratch) / "theirs.py"
        script.write_text(THEIRS)
        ways = {
            "bare loop": lambda number: bare(options.device),
            "this product": lambda number: product(Path(scratch) / str(number), options.device),
            "optimum-benchmark": lambda number: theirs(script, "process", options.device),
            "optimum-benchmark, inline": lambda number: theirs(script, "inline", options.device),
        }
        for number in range(options.rounds):
            order = list(ways)[number % len(ways) :] + list(ways)[: number % len(ways)]
            for name in order:
                found.setdefault(name, []).append(ways[name](number))
    for name, rounds in found.items():
        print(name, *(_line(metric, rounds, found["bare loop"]) for metric in METRICS), sep="\n   ")


def _line(metric: str, rounds: list[dict[str, float]], base: list[dict[str, float]]) -> str:
    values = [r[metric] for r in rounds if metric in r]
    if not values:
        return f"{metric}: not measured"
    line = f"{metric}: {statistics.median(values):.4g}"
    if metric not in base[0] or len(values) < 2:
        return line
    logs = [math.log(r[metric] / b[metric]) for r, b in zip(rounds, base, strict=True)]
    low, high = t_interval(logs, hodges_lehmann(logs))
    return f"{line}, of the bare loop {math.exp(hodges_lehmann(logs)):.3f} ({math.exp(low):.3f} to {math.exp(high):.3f})"


if __name__ == "__main__":
    main()
