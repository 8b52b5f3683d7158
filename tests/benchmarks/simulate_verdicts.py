"""Can the verdicts be trusted? Feeds simulated measurements of known truth to the product's own comparison, and counts.

Two variants in the order of the product's rounds; each run is the median of its samples. Noise: 1 % normal, 2 % of the samples up to 30 % slower. Drift, common
to both and over the whole experiment: none, linear, or autocorrelated from sample to sample (phi 0.98), the latter two with a spread of 2 %.
Four questions: all rounds at once; looks after 5, 10, ... rounds that may end it early; the A/A control beside other timings; and
how often a run's samples are said to drift that drift no more than the machine does.
Usage: python -m tests.benchmarks.simulate_verdicts [--experiments 4000] [--rounds 5] [--samples 20] [--effect 0.03] [--longest 20] [--json]
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine import drift as of_runs
from engine.cells import Outcome
from engine.looks import OPEN
from engine.metrics import METRICS
from engine.specs import forwards, looks
from engine.verdicts import compare, verdicts

NOISE, SPIKES, DRIFT, PHI = 0.01, 0.02, 0.02, 0.98
LOUD = 15 * NOISE
DRIFTS = ("none", "linear", "autocorrelated")
METRIC = METRICS["inter_token_latency_seconds"]
TIMINGS = 8
"""Metrics x points of the control that are compared together."""


@dataclass(frozen=True)
class Plan:
    """How an experiment is made: what drifts, the variant's true effect, its size, and the spread of its noise."""

    drift: str = "none"
    effect: float = 0.0
    rounds: int = 5
    samples: int = 20
    noise: float = NOISE


@dataclass(frozen=True)
class Found:
    """The verdict, whether its interval holds the truth, and after how many rounds."""

    verdict: str
    held: bool
    rounds: int

    @property
    def told(self) -> bool:
        return self.verdict in ("better", "worse")


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


def series(plan: Plan, random: np.random.Generator) -> Any:
    """(rounds, 2, samples) seconds in the order of measuring, before any effect."""
    length = 2 * plan.rounds * plan.samples
    logs = drift(plan.drift, length, random) + random.normal(0, plan.noise, length)
    logs += (random.random(length) < SPIKES) * random.uniform(0, 0.3, length)
    return np.exp(logs.reshape(plan.rounds, 2, plan.samples))


def outcome(round_: int, seconds: Any) -> Outcome:
    value = float(np.median(seconds))
    return Outcome(round_, "succeeded", None, value, len(seconds), tuple(map(float, seconds)), "here", None, None)


def outcomes(plan: Plan, random: np.random.Generator) -> tuple[list[Outcome], list[Outcome]]:
    """(baseline, variant), by round."""
    of: dict[bool, list[Outcome]] = {False: [], True: []}
    for index, pair in enumerate(series(plan, random)):
        for place, seconds in enumerate(pair):
            is_variant = (place == 1) == forwards(index)
            of[is_variant].append(outcome(index, seconds * (1 + plan.effect) if is_variant else seconds))
    return of[False], of[True]


def experiment(plan: Plan, random: np.random.Generator, schedule: tuple[int, ...] = ()) -> Found:
    """One experiment; with a schedule it ends at the first look that has an answer."""
    baseline, variant = outcomes(plan, random)
    for rounds in schedule or (plan.rounds,):
        found = compare(METRIC, variant[:rounds], baseline[:rounds], looks=max(1, len(schedule)))
        word = verdicts([(METRIC, found)])[0]
        if word not in OPEN:
            break
    assert found.low is not None and found.high is not None
    return Found(word, found.low <= 1 + plan.effect <= found.high, rounds)


def control_fails(plan: Plan, random: np.random.Generator) -> bool:
    """Whether a baseline that is measured twice is told apart from itself in one of its timings."""
    pairs = [outcomes(plan, random) for _ in range(TIMINGS)]
    return bool({"better", "worse"} & set(verdicts([(METRIC, compare(METRIC, again, first)) for first, again in pairs])))


def share_of_runs_that_drift(plan: Plan, random: np.random.Generator) -> float:
    """Of the runs of one experiment, those that would be left out."""
    runs = series(plan, random).reshape(-1, plan.samples)
    return sum(of_runs.change(run.tolist()) is not None for run in runs) / len(runs)


def row(what: str, plan: Plan, found: list[Found]) -> dict[str, Any]:
    n = len(found)
    return {
        "what": what, "drift": plan.drift, "noise": plan.noise, "effect": plan.effect, "better_or_worse": sum(f.told for f in found) / n,
        "coverage": sum(f.held for f in found) / n, "mean_rounds": sum(f.rounds for f in found) / n,
    }  # fmt: skip


def simulate(options: argparse.Namespace) -> list[dict[str, Any]]:
    rows, n, schedule = [], options.experiments, looks(options.longest)
    for kind in DRIFTS:
        # the margin hides most errors where the noise is small; where it is large they all show
        for effect, noise in ((0.0, NOISE), (options.effect, NOISE), (0.0, LOUD)):
            plan, random = Plan(kind, effect, options.rounds, options.samples, noise), np.random.default_rng(0)
            rows.append(row("all rounds", plan, [experiment(plan, random) for _ in range(n)]))
    for kind in DRIFTS:
        for effect, noise in ((0.0, NOISE), (options.effect, NOISE), (0.0, LOUD), (options.effect, LOUD)):
            plan, random = Plan(kind, effect, options.longest, options.samples, noise), np.random.default_rng(0)
            rows.append(row(f"looks {schedule}", plan, [experiment(plan, random, schedule) for _ in range(n)]))
    for kind in DRIFTS:
        for noise in (NOISE, LOUD):
            plan, random = Plan(kind, 0.0, options.rounds, options.samples, noise), np.random.default_rng(0)
            failed = sum(control_fails(plan, random) for _ in range(n // 4)) / (n // 4)
            drifting = sum(share_of_runs_that_drift(plan, random) for _ in range(n // 4)) / (n // 4)
            rows.append({"what": "control", "drift": kind, "noise": noise, "control_fails": failed, "runs_left_out": drifting})
    return rows


def line(found: dict[str, Any]) -> str:
    begin = f"{found['what']:<24} drift {found['drift']:<15} noise {found['noise']:<5.0%}"
    if "control_fails" in found:
        return f"{begin} fails with {TIMINGS} timings {found['control_fails']:.3f}   runs said to drift {found['runs_left_out']:.4f}"
    what = "false positives" if found["effect"] == 0 else f"power at {found['effect']:.0%}   "
    return f"{begin} {what} {found['better_or_worse']:.3f}   coverage {found['coverage']:.3f}   rounds {found['mean_rounds']:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--experiments", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--effect", type=float, default=0.03)
    parser.add_argument("--longest", type=int, default=20, help="rounds of the experiments that may end early")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = simulate(options)
    if options.json:
        print(json.dumps({**vars(options), "rows": rows}))
        return
    print(f"{options.experiments} experiments each, {options.rounds} rounds of {options.samples} samples; margin of the verdict {METRIC.margin:.0%}")
    print("\n".join(map(line, rows)))


if __name__ == "__main__":
    main()
