"""Measures what `experiments/reference/` asks for, on all GPUs of this machine at once: one experiment per GPU, those for all GPUs first.

Usage: python -m tests.benchmarks.measure_references --out FOLDER [--max-seconds N] NAME ...
NAME: a file of experiments/reference without .yaml, or `aa` (measure_aa), or `optimum-benchmark` (its comparison). They begin in the order given,
each as soon as a GPU is free. Every bundle is written as it grows, so that what was measured survives an interruption; the log of NAME is
FOLDER/NAME.log. Nothing else may run on the machine.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue

from engine.devices import local_devices
from engine.presets import load_spec
from engine.references import FOLDER

_SCRIPTS = {
    "aa": ("measure_aa", "--new-tokens", "8", "--device", "cuda", "--out"),
    "optimum-benchmark": ("compare_optimum_benchmark", "--device", "cuda"),
}


def command(name: str, out: Path, max_seconds: float) -> list[str]:
    """What measures NAME on the GPUs that CUDA_VISIBLE_DEVICES leaves."""
    if name in _SCRIPTS:
        script, *options = _SCRIPTS[name]
        return [sys.executable, "-m", f"tests.benchmarks.{script}", *options, *([str(out / name)] if options[-1] == "--out" else [])]
    bundle = out / f"{name}.json"
    again = ["--resume", str(bundle)] if bundle.exists() else []
    return [sys.executable, "-m", "engine", "run", str(FOLDER / f"{name}.yaml"), "--bundle", str(bundle), *again, "--max-seconds", str(max_seconds)]


def measure(name: str, out: Path, max_seconds: float, gpu: str | None) -> None:
    """One experiment from begin to end. gpu: its index where the others are hidden."""
    began = time.monotonic()
    print(f"{name}: begins" + (f" on GPU {gpu}" if gpu is not None else " on all GPUs"), flush=True)
    shown = {} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu}
    with (out / f"{name}.log").open("w") as log:
        ended = subprocess.run(command(name, out, max_seconds), env=os.environ | shown, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False)
    print(f"{name}: exit code {ended.returncode} after {time.monotonic() - began:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", metavar="NAME")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--max-seconds", type=float, default=3600, help="no experiment begins another round after so long")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    gpus = [d.id.removeprefix("cuda:") for d in local_devices() if d.kind == "cuda" and d.gpus == 1]
    if not gpus:
        parser.error("there is no GPU on this machine")
    of_all = [n for n in options.names if n not in _SCRIPTS and load_spec(str(FOLDER / f"{n}.yaml"), {}).device == "cuda:all"]
    for name in of_all:
        measure(name, options.out, options.max_seconds, None)
    waiting: SimpleQueue[str] = SimpleQueue()
    for name in options.names:
        if name not in of_all:
            waiting.put(name)

    def work(gpu: str) -> None:
        with suppress(Empty):
            while True:
                measure(waiting.get_nowait(), options.out, options.max_seconds, gpu)

    workers = [threading.Thread(target=work, args=(gpu,)) for gpu in gpus]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


if __name__ == "__main__":
    main()
