"""How long does a run wait before it loads its model? Prints the ratio of a fork of a template to a child started anew, alternated.

Usage: python -m tests.benchmarks.bench_startup [--pairs 5] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from engine.devices import find_device
from engine.executor import LocalExecutor
from engine.presets import parse_spec
from engine.run_spec import run_spec
from engine.specs import PlannedRun, RunKind

ANEW = (sys.executable, "-c", "import runpy; runpy.run_module('engine.worker', run_name='__main__')")


def seconds_until_loading(executor: LocalExecutor, folder: Path) -> float:
    """From `start` until the child says that it loads the model; then it is killed."""
    device = find_device("cpu")
    spec = parse_spec({"title": "start", "model": "smollm2-135m", "baseline": "float32", "variants": ["float32"]})
    started = time.perf_counter()
    handle = executor.start(run_spec(spec, PlannedRun(0, 0, RunKind.SPEED), device), folder, device=device)
    while executor.read_progress(handle) != "loading the model":
        if executor.poll(handle) is not None:
            raise RuntimeError(executor.log_tail(handle))
        time.sleep(0.002)
    seconds = time.perf_counter() - started
    executor.kill(handle)
    while executor.poll(handle) is None:
        time.sleep(0.002)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    kinds = {"fork": LocalExecutor(), "anew": LocalExecutor(ANEW)}
    found: dict[str, list[float]] = {"fork": [], "anew": []}
    with tempfile.TemporaryDirectory() as folder:
        seconds_until_loading(kinds["fork"], Path(folder) / "template")  # makes the template, which waits for imports once
        for pair in range(options.pairs):
            for kind in sorted(kinds, reverse=pair % 2 == 1):
                found[kind].append(seconds_until_loading(kinds[kind], Path(folder) / f"{kind}{pair}"))
    medians = {kind: statistics.median(seconds) for kind, seconds in found.items()}
    if options.json:
        print(json.dumps({"seconds": found, "median_ratio": medians["fork"] / medians["anew"]}))
        return
    print(f"seconds before a run loads its model: fork {medians['fork']:.3f}, anew {medians['anew']:.2f}, "
          f"ratio {medians['fork'] / medians['anew']:.3f} (medians of {options.pairs} alternated pairs)")  # fmt: skip


if __name__ == "__main__":
    main()
