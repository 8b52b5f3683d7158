"""The first page's answers on records made by hand: each answer, each way of having none, and what belongs together."""

from __future__ import annotations

from typing import Any

import pytest

from engine.answers.advisor import read
from engine.answers.headlines import Headline, headlines
from engine.bundle import load_bundle
from engine.measurement import Status
from engine.record import Record
from engine.references import FOLDER
from tests.records import build_record

FEW = (1.0, 1.01, 0.99)
TEXT = [20.0 + i for i in range(16)]


def record(rounds: int = 3, **variants: dict[str, Any]) -> Record:
    """decode: tokens/s, weights and peak: bytes, ppl: factor on the baseline's perplexity (None: not measured)."""
    measured = {
        name: {
            "decode_tokens_per_second": [v["decode"] * f for f in FEW[:rounds]] if v["decode"] else [Status.FAILED] * rounds,
            "weight_bytes": [v["weights"]] * rounds, "peak_memory_bytes": [v.get("peak", 2 * v["weights"])] * rounds,
        }
        for name, v in variants.items()
    }  # fmt: skip
    quality = {name: {"perplexity": [t * v.get("ppl", 1.0) for t in TEXT]} for name, v in variants.items() if v.get("ppl", 1.0)}
    return build_record(measured, quality=quality)


def ask(*records: Record, budget: float = 24e9, point: str | None = None) -> dict[str, Headline]:
    return {h.name: h for h in headlines([read(r) for r in records], budget, point)}


def named(found: dict[str, Headline]) -> dict[str, str | None]:
    return {name: h.place.candidate.variant if h.place else None for name, h in found.items()}


LADDER = record(
    base={"decode": 30, "weights": 4e9}, half={"decode": 58, "weights": 2e9}, slim={"decode": 40, "weights": 1.5e9, "ppl": 1.005},
    rough={"decode": 90, "weights": 1e9, "ppl": 1.3},
)  # fmt: skip


def test_each_answer_names_one_variant() -> None:
    found = ask(LADDER)
    assert named(found) == {"smallest": "slim", "fastest": "rough", "both": "half"}
    assert [h.label for h in found.values()] == [
        "Smallest within 1 % quality", "Fastest that fits 24 GB", "Best on both (Pareto), within 1 % quality",
    ]  # fmt: skip
    assert all(h.missing is None for h in found.values())


def test_the_limit_decides_which_is_fastest_and_says_what_comes_nearest() -> None:
    assert named(ask(LADDER, budget=1.9e9))["fastest"] is None
    assert ask(LADDER, budget=1.9e9)["fastest"].missing == (
        "None does. rough comes nearest: peak memory of a call 1.86 GiB, 95.4 MiB beyond the limit of 1.77 GiB"
    )
    assert not ask(LADDER, budget=1.9e9)["fastest"].again, "another round would not make it smaller"


def test_best_on_both_is_on_the_front_and_gains_most() -> None:
    beaten = record(base={"decode": 30, "weights": 4e9}, good={"decode": 60, "weights": 1e9}, beaten={"decode": 59, "weights": 2e9})
    assert named(ask(beaten))["both"] == "good"
    only_losses = record(base={"decode": 30, "weights": 4e9}, slow={"decode": 10, "weights": 3e9})
    assert named(ask(only_losses))["both"] == "base", "losing more speed than memory is no gain"


def test_what_is_missing_is_named() -> None:
    unmeasured = ask(record(base={"decode": 30, "weights": 4e9, "ppl": None}, a={"decode": 40, "weights": 2e9, "ppl": None}))
    assert unmeasured["smallest"].missing == "base: perplexity is not measured (the run did not report it), and 1 more" and unmeasured["smallest"].again
    assert named(unmeasured)["fastest"] == "a", "the answer that needs no quality is there"
    alone = ask(record(base={"decode": 30, "weights": 4e9}))
    assert alone["smallest"].missing == "Only the baseline, base, has been measured: nothing to compare it with"
    few = ask(record(2, base={"decode": 30, "weights": 4e9}, a={"decode": 40, "weights": 2e9}))
    assert named(few)["fastest"] == "a" and few["fastest"].missing == "2 of at least 3 rounds, too few for a verdict"


def test_without_any_timed_run_the_baseline_is_asked_for() -> None:
    made = record(base={"decode": 30, "weights": 4e9}, a={"decode": 40, "weights": 2e9})
    for run in made["runs"]:
        run |= {"status": "failed", "reason": "signal 11", "measurements": []}
    found = ask(made)
    assert named(found) == dict.fromkeys(("smallest", "fastest", "both"))
    assert found["both"].missing == "No run of base has been timed yet: the baseline is what all others are compared with"


def test_all_answers_are_of_one_point() -> None:
    rounds = [1.0, 1.01, 0.99]
    made = build_record({
        name: {"weight_bytes": [size] * 3, "decode_tokens_per_second": [a * r for r in rounds], "decode_tokens_per_second@4": [b * r for r in rounds]}
        for name, size, a, b in (("base", 4e9, 30, 90), ("one", 2e9, 60, 100), ("four", 3e9, 40, 300))
    })  # fmt: skip
    first, second = list(read(made).points())
    assert named(ask(made, point=first))["fastest"] == "one" and named(ask(made, point=second))["fastest"] == "four"
    assert named(ask(made, point="batch=99")) == named(ask(made, point=first)), "a point that is not there is the first"


def test_a_comparable_experiment_is_ranked_with_the_one_that_leads() -> None:
    lead = record(base={"decode": 30, "weights": 4e9}, half={"decode": 58, "weights": 2e9})
    other = record(base={"decode": 31, "weights": 4e9}, fast={"decode": 93, "weights": 3e9})
    other["experiment"]["id"] = "another-experiment-01"
    assert named(ask(lead, other))["fastest"] == "fast"


@pytest.mark.parametrize("name", ["llama-7b-h200", "attention-d64-forward-h100", "train-ladder-llama-7b-h200"])
def test_random_weights_have_no_quality_to_keep_and_the_label_says_so(name: str) -> None:
    found = ask(load_bundle(FOLDER / f"{name}.json"), budget=141e9)
    assert found["smallest"].label == "Smallest, quality unknown"
    assert all(named(found).values())
