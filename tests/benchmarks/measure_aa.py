"""A/A: the quickstart's generation against itself, several experiments in a row; counts the verdicts that see a difference.

Usage: python -m tests.benchmarks.measure_aa [--experiments 10] [--rounds 5] [--device cpu] [--model NAME]
       [--new-tokens N] [--out FOLDER]
A sound measurement gives "no difference shown" or "equivalent" for every metric of nearly every experiment. Prints one line per
experiment and the sum; the machine must be idle.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path

from engine.analysis import rows
from engine.bundle import save_bundle
from engine.foreground import run_foreground
from engine.presets import load_spec
from engine.specs import ExperimentSpec

SAME = ("no difference shown", "equivalent")


def aa_spec(rounds: int, device: str, model: str | None, new_tokens: int | None, number: int) -> ExperimentSpec:
    """The quickstart's baseline and its control, without quality runs: equal models have equal quality."""
    preset = load_spec("quickstart", {"rounds": rounds, "device": device} | ({"model": model} if model else {}))
    baseline = next(v for v in preset.variants if v.name == preset.baseline)
    options = preset.workload.options | {"quality_tokens": 0} | ({"new_tokens": new_tokens} if new_tokens else {})
    changes = {"title": f"A/A {number}", "variants": (baseline,), "control": True, "workload": preset.workload.model_copy(update={"options": options})}
    return ExperimentSpec.model_validate(preset.model_copy(update=changes).model_dump())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiments", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--model")
    parser.add_argument("--new-tokens", type=int)
    parser.add_argument("--out", type=Path, default=Path(tempfile.mkdtemp(prefix="aa-")))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    total: Counter[str] = Counter()
    for number in range(args.experiments):
        path = args.out / f"aa-{number}.json"
        spec = aa_spec(args.rounds, args.device, args.model, args.new_tokens, number)
        record = run_foreground(spec, save=lambda r, path=path: save_bundle(r, path))
        compared = [r for r in rows(record) if not r.baseline]
        other = [f"{r.metric} {r.point_label}: {r.verdict}" + (f" {r.ratio:.3f}" if r.ratio else "") for r in compared if r.verdict not in SAME]
        total.update(r.verdict for r in compared)
        widest = max((r.ci_high - r.ci_low for r in compared if r.ci_low is not None and r.ci_high is not None), default=float("nan"))
        print(f"A/A {number}: {len(compared)} metrics, {len(other)} see a difference, widest interval {widest:.3f}", *other, sep="\n   ", flush=True)
    print("verdicts:", dict(total))


if __name__ == "__main__":
    main()
