"""Can the verdicts be trusted? Feeds simulated measurements of known truth to the product's own comparison, and counts.

Two variants in ABBA rounds; each run is the median of its samples. Noise: 1 % normal, 2 % of the samples up to 30 % slower. Drift, common
to both and over the whole experiment: none, linear, or autocorrelated from sample to sample (phi 0.98), the latter two with a spread of 2 %.
Usage: python -m tests.benchmarks.simulate_verdicts [--experiments 4000] [--rounds 5] [--samples 20] [--effect 0.03] [--json]
"""

from __future__ import annotations

import argparse
import json
import math
from typing import Any

import numpy as np

from engine.cells import Outcome
from engine.metrics import METRICS
from engine.verdicts import compare, verdicts

NOISE, SPIKES, DRIFT, PHI = 0.01, 0.02, 0.02, 0.98
DRIFTS = ("none", "linear", "autocorrelated")
METRIC = METRICS["inter_token_latency_seconds"]


def drift(kind: str, length: int, random: np.random.Generator) -> Any:
    """(length,) log-seconds that every sample of that moment has in addition."""
    if kind == "none":
        return np.zeros(length)
    if kind == "linear":
        return random.choice((-1, 1)) * DRIFT * math.sqrt(12) * (np.arange(length) / length - 0.5)
    steps = random.normal(0, DRIFT * math.sqrt(1 - PHI**2), length)
    value, found = random.normal(0, DRIFT), np.empty(length)
    for i, step in enumerate(steps):
        value = found[i] = PHI * value + step
    return found


def outcome(round_: int, seconds: Any) -> Outcome:
    value = float(np.median(seconds))
    return Outcome(round_, "succeeded", None, value, len(seconds), tuple(map(float, seconds)), "here", "same", None)


def experiment(kind: str, effect: float, rounds: int, samples: int, random: np.random.Generator) -> tuple[str, bool]:
    """(verdict, whether the interval holds the true ratio)."""
    logs = drift(kind, 2 * rounds * samples, random) + random.normal(0, NOISE, 2 * rounds * samples)
    logs += (random.random(logs.shape) < SPIKES) * random.uniform(0, 0.3, logs.shape)
    runs = np.exp(logs.reshape(rounds, 2, samples))
    of: dict[bool, list[Outcome]] = {False: [], True: []}
    for index, pair in enumerate(runs):
        for place, seconds in enumerate(pair):
            is_variant = (place == 1) != (index % 2 == 1)
            of[is_variant].append(outcome(index, seconds * (1 + effect) if is_variant else seconds))
    found = compare(METRIC, of[True], of[False])
    assert found.low is not None and found.high is not None
    return verdicts([(METRIC, found)])[0], found.low <= 1 + effect <= found.high


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--experiments", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--effect", type=float, default=0.03)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    for kind in DRIFTS:
        for effect in (0.0, options.effect):
            random = np.random.default_rng(0)
            found = [experiment(kind, effect, options.rounds, options.samples, random) for _ in range(options.experiments)]
            told = sum(word in ("better", "worse") for word, _ in found) / len(found)
            coverage = sum(held for _, held in found) / len(found)
            rows.append({"drift": kind, "effect": effect, "better_or_worse": told, "coverage": coverage})
    if options.json:
        print(json.dumps({"rounds": options.rounds, "samples": options.samples, "experiments": options.experiments, "rows": rows}))
        return
    print(f"{options.experiments} experiments each, {options.rounds} rounds of {options.samples} samples; margin of the verdict {METRIC.margin:.0%}")
    for row in rows:
        what = "false positives" if row["effect"] == 0 else f"power at {row['effect']:.0%}  "
        print(f"drift {row['drift']:<15} {what} {row['better_or_worse']:.3f}   coverage of the 95 % interval {row['coverage']:.3f}")


if __name__ == "__main__":
    main()
