"""How far are the memory planner's predictions from what was measured? Over all reference results, inference and training.

Left out: results of CPUs, whose peak is the whole process with its libraries and heap, and what no formula covers, which is listed.
Usage: python -m tests.benchmarks.planner_error [--verbose] [--json]; exit code 1 if the median error is above 10 %, or a variant that is
said to fit ran out of memory.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

from engine.analysis import rows
from engine.bundle import load_bundle
from engine.measurement import Status
from engine.planning.gpus import CONTEXT_BYTES
from engine.planning.plan_request import verdict
from engine.planning.planned import Prediction, predictions
from engine.settings import REPOSITORY

GOAL = 0.10


def examine(path: Path, *, verbose: bool) -> dict[str, Any]:
    """One bundle: errors, what was said to fit and did not, what has no prediction, and what the allocator lost between blocks."""
    found = load_bundle(path)
    measured = rows(found)
    reserved = {(r.position, r.point_label): r.value for r in measured if r.metric == "reserved_memory_bytes"}
    seen = predictions(found, measured)
    for p in seen if verbose else ():
        print(f"  {p.variant} ({p.point_label}): {line(p)}", file=sys.stderr)
    return {
        "errors": [abs(p.error) for p in seen if p.error is not None],
        "errors_above_weights": [abs(x) for p in seen if (x := above_weights(p)) is not None],
        "wrongly_fitting": [f"{p.variant} ({p.point_label})" for p in seen if p.status == Status.OUT_OF_MEMORY and fits(p)],
        "out_of_memory": sum(p.status == Status.OUT_OF_MEMORY for p in seen),
        "wrongly_not_fitting": [
            f"{p.variant} ({p.point_label})" for p in seen
            if p.plan is not None and p.measured is not None and verdict(p.plan, p.capacity_bytes - CONTEXT_BYTES) == "does not fit"
        ],
        "not_predicted": sorted({f"{p.variant}: {p.reason}" for p in seen if p.plan is None}),
        "lost_between_blocks": [x for p in seen if (x := lost(p, reserved.get((p.position, p.point_label)))) is not None],
    }  # fmt: skip


def line(p: Prediction) -> str:
    said = "not predicted" if p.plan is None else f"predicted {p.plan.peak_memory_bytes / 1e9:.3f} GB ({p.plan.moment})"
    return f"{said}, {p.status}" if p.error is None else f"{said}, measured {p.measured / 1e9 if p.measured else 0:.3f} GB, {p.error:+.1%}"


def above_weights(p: Prediction) -> float | None:
    """The same error as a part of what is measured beside the weights, which are the easy part."""
    if p.plan is None or p.measured is None or p.measured <= p.plan.components.weights:
        return None
    return (p.plan.peak_memory_bytes - p.measured) / (p.measured - p.plan.components.weights)


def fits(p: Prediction) -> bool:
    return p.plan is not None and verdict(p.plan, p.capacity_bytes - CONTEXT_BYTES) == "fits"


def lost(p: Prediction, reserved: float | None) -> float | None:
    """(reserved - allocated) as a part of what the step makes and frees, where that is most of what it holds."""
    if p.plan is None or reserved is None or p.measured is None or p.plan.components.activations < p.measured / 2:
        return None
    return (reserved - p.measured) / (p.plan.components.activations + p.plan.components.workspace)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found = {p.stem: examine(p, verbose=asked.verbose) for p in sorted((REPOSITORY / "experiments" / "reference").glob("*.json"))}
    everything = [e for f in found.values() for e in f["errors"]]
    wrong = [f"{name}: {text}" for name, f in found.items() for text in f["wrongly_fitting"]]
    median = statistics.median(everything)
    summary = {"n": len(everything), "median": median, "largest": max(everything), "wrongly_fitting": wrong,
               "out_of_memory": sum(f["out_of_memory"] for f in found.values()),
               "wrongly_not_fitting": [f"{name}: {text}" for name, f in found.items() for text in f["wrongly_not_fitting"]]}  # fmt: skip
    if asked.json:
        print(json.dumps({"overall": summary, "bundles": found}))
    else:
        _print(found, summary)
    return 0 if median <= GOAL and not wrong else 1


def _print(found: dict[str, dict[str, Any]], summary: dict[str, Any]) -> None:
    for name, f in found.items():
        if f["errors"]:
            print(f"{name}: median {statistics.median(f['errors']):.2%}, largest {max(f['errors']):.1%}, n = {len(f['errors'])}")
        for text in f["not_predicted"]:
            print(f"  {text}")
    print(f"all: median {summary['median']:.2%}, largest {summary['largest']:.1%}, n = {summary['n']}")
    above = [e for f in found.values() for e in f["errors_above_weights"]]
    print(f"of what is there beside the weights: median {statistics.median(above):.2%}, largest {max(above):.1%}, n = {len(above)}")
    print(f"ran out of memory: {summary['out_of_memory']}, of these said to fit: {summary['wrongly_fitting'] or 'none'}")
    print(f"said not to fit, and measured: {summary['wrongly_not_fitting'] or 'none'}")
    shares = [x for f in found.values() for x in f["lost_between_blocks"]]
    print(f"lost between blocks, of what a step makes and frees: median {statistics.median(shares):.0%}, largest {max(shares):.0%}, n = {len(shares)}")


if __name__ == "__main__":
    sys.exit(main())
