"""Does the attention workload add time to the kernel that it measures? Prints the median ratio over alternated pairs.

Each pair is one pass as the workload makes and times it, and one bare call of torch's attention between two clock readings
(on a GPU: two CUDA events, behind a queued matrix product). Both on the same tensors in one process, the order alternating.
Usage: python -m tests.benchmarks.bench_kernel_overhead [--pairs 20] [--length 8192] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from engine.devices import find_device
from engine.loading import load_session
from engine.modelspec import ModelSpec
from engine.registry import discover


def bare_seconds(q: Any, k: Any, v: Any, a: Any, b: Any, c: Any) -> float:
    with torch.inference_mode(), sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        if q.device.type == "cpu":
            started = time.perf_counter()
            torch.nn.functional.scaled_dot_product_attention(q, k, v)
            return time.perf_counter() - started
        before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.mm(a, b, out=c)
        before.record()
        torch.nn.functional.scaled_dot_product_attention(q, k, v)
        after.record()
        torch.cuda.synchronize()
        return float(before.elapsed_time(after)) / 1e3


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--length", type=int)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    from experiments.attention.stopwatch import Stopwatch

    cuda = torch.cuda.is_available()
    length, kind, dtype = options.length or (8192 if cuda else 1024), "cuda" if cuda else "cpu", "bfloat16" if cuda else "float32"
    workload = discover().workload("attention_kernel", {"dtype": dtype, "head_dim": 128, "batch": 4 if cuda else 1, "heads": 16 if cuda else 4})
    stack = [discover().technique("attention", {"kernel": "flash"})]
    session = load_session(ModelSpec(source="none", name="none"), stack, find_device(kind), 0, Path(), Path(), Path(), workload)
    watch = Stopwatch(kind, dtype)
    ours = workload._prepared(session, length)  # type: ignore[attr-defined]
    q, k, v, _ = workload.tensors(session, length)  # type: ignore[attr-defined]
    a, b, c = (torch.randn(8192 if cuda else 8, 8192 if cuda else 8, device=kind, dtype=q.dtype) for _ in range(3))
    ratios = []
    for pair in range(options.pairs + 3):  # the first three warm up
        timed = [lambda: watch.seconds(ours), lambda: bare_seconds(q, k, v, a, b, c)]
        order = (0, 1) if pair % 2 == 0 else (1, 0)
        seconds = {index: timed[index]() for index in order}
        if pair >= 3:
            ratios.append(seconds[0] / seconds[1])
    if options.json:
        print(json.dumps({"length": length, "median_ratio": statistics.median(ratios), "ratios": ratios}))
    print(f"kernel_seconds at length {length} on {kind}: workload / bare call = {statistics.median(ratios):.4f} "
          f"(median of {options.pairs} pairs, {min(ratios):.3f} to {max(ratios):.3f})", file=sys.stderr if options.json else sys.stdout)  # fmt: skip


if __name__ == "__main__":
    main()
