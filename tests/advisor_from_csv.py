"""Answers a budget question from the CSV of one experiment, by itself: it knows the CSV's columns and nothing of the advisor."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import Any

NO_RESULT = ("out_of_memory", "unsupported", "failed", "timed_out")


@dataclass(frozen=True)
class Budget:
    """A question in the CSV's terms. Lower is better of a metric that ends in _bytes or _seconds, and of perplexity."""

    objective: str
    timed: str
    memory: str
    at_most: float | None = None
    quality: str | None = None
    loss: float | None = None


def points(text: str, budget: Budget) -> list[str]:
    """Where the experiment was timed, if it has the objective at all."""
    rows = _rows(text)
    known = any(r["metric"] == budget.objective for r in rows)
    return list(dict.fromkeys(r["point"] for r in rows if r["metric"] == budget.timed)) if known else []


def answer(text: str, budget: Budget, point: str) -> dict[str, Any]:
    """{"ranked": [(variant, relation)], "failed": {variant: {constraint: by or None}}, "not measured": {variant: {constraint}}}."""
    rows = _rows(text)
    timed_at = {r["point"] for r in rows if r["metric"] == budget.timed}
    variants = list(dict.fromkeys(r["variant"] for r in rows))
    baseline = next(r["variant"] for r in rows if r["baseline"] == "true")

    def cell(variant: str, metric: str) -> dict[str, str] | None:
        mine = {r["point"]: r for r in rows if r["variant"] == variant and r["metric"] == metric}
        if point in mine:
            return mine[point]
        return next(iter(mine.values())) if len(mine) == 1 and not set(mine) & timed_at else None

    base = cell(baseline, budget.objective)
    by_ratio = base is not None and base["value"] != ""
    failed: dict[str, dict[str, float | None]] = {}
    unknown: dict[str, set[str]] = {}
    scored: list[tuple[float, tuple[float, float] | None, str]] = []
    for variant in variants:
        bad: dict[str, float | None] = {}
        missing: set[str] = set()
        mine = cell(variant, budget.objective)
        score, interval = _score(mine, by_ratio, variant == baseline)
        if score is None:
            if mine is not None and mine["value"] == "" and mine["status"] in NO_RESULT:
                bad["objective"] = None
            else:
                missing.add("objective")
        if budget.at_most is not None:
            _memory(cell(variant, budget.memory), budget.at_most, bad, missing)
        if budget.loss is not None:
            assert budget.quality is not None
            _quality(cell(variant, budget.quality), budget, variant == baseline, bad, missing)
        if bad:
            failed[variant] = bad
        elif missing:
            unknown[variant] = missing
        elif score is not None:
            scored.append((score, interval, variant))
    return {"ranked": _rank(scored, budget.objective), "failed": failed, "not measured": unknown}


def _rows(text: str) -> list[dict[str, str]]:
    """The export puts an apostrophe before a name that a spreadsheet would take for a formula."""
    rows = list(csv.DictReader(io.StringIO(text)))
    return [r | {"variant": r["variant"][1:] if r["variant"][:2] in ("'=", "'+", "'-", "'@") else r["variant"]} for r in rows]


def _score(row: dict[str, str] | None, by_ratio: bool, is_baseline: bool) -> tuple[float | None, tuple[float, float] | None]:
    if row is None or row["value"] == "":
        return None, None
    if by_ratio and is_baseline:
        return 1.0, (1.0, 1.0)
    number, low, high = (row["ratio"], row["ci_low"], row["ci_high"]) if by_ratio else (row["value"], row["low"], row["high"])
    return (float(number) if number else None), ((float(low), float(high)) if low and high else None)


def _memory(row: dict[str, str] | None, at_most: float, bad: dict[str, float | None], missing: set[str]) -> None:
    if row is not None and row["value"] != "":
        if float(row["value"]) > at_most:
            bad["memory"] = float(row["value"]) - at_most
    elif row is not None and row["status"] in NO_RESULT:
        bad["memory"] = None
    else:
        missing.add("memory")


def _quality(row: dict[str, str] | None, budget: Budget, is_baseline: bool, bad: dict[str, float | None], missing: set[str]) -> None:
    assert budget.loss is not None
    if row is None or row["value"] == "" or (row["ratio"] == "" and not is_baseline):
        missing.add("quality")
    elif not is_baseline:
        loss = float(row["ratio"]) - 1 if budget.quality == "perplexity" else 1 - float(row["ratio"])
        if loss > budget.loss:
            bad["quality"] = loss - budget.loss


def _rank(scored: list[tuple[float, tuple[float, float] | None, str]], objective: str) -> list[tuple[str, str]]:
    lower = objective == "perplexity" or objective.endswith(("_bytes", "_seconds"))
    scored.sort(key=lambda s: s[0], reverse=not lower)
    result = []
    for number, (_, interval, variant) in enumerate(scored):
        first = scored[0][1]
        if number == 0:
            relation = "first"
        elif first is None or interval is None:
            relation = "too few rounds"
        else:
            relation = "behind" if interval[1] < first[0] or first[1] < interval[0] else "not distinguishable"
        result.append((variant, relation))
    return result
