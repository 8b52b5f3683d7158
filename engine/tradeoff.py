"""Two metrics against each other: one row per variant, and which variants are on the Pareto front."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from engine.analysis import IMPORTED
from engine.cells import NOT_MEASURED, worst
from engine.metrics import metric

_OF_AXIS = {"value": "", "low": "_low", "high": "_high", "ratio": "_ratio", "verdict": "_verdict"}


def wide(
    frame: pd.DataFrame, x: str, y: str, *, x_point: str | None = None, y_point: str | None = None
) -> pd.DataFrame:
    """One row per variant, in order of position, from the summary of one experiment.

    frame: engine.analysis.summary. x, y: metric names. x_point, y_point: a point_label; by default the metric's first.
    Columns: variant, position, baseline, then for both axes x, x_low, x_high, x_ratio and x_verdict, then
    status, reason (those of the worse axis, so that a variant without a place in the chart still says why), rounds (the fewer of
    both axes), imported (another tool measured it), alike, on_front: among those that are alike, all of one experiment, where the
    frame has no such column (engine/answers/comparison.py).
    Raises ValueError if a named point does not exist.
    """
    sides = {"x": _axis(frame, x, x_point), "y": _axis(frame, y, y_point)}
    variants = frame.drop_duplicates("position").sort_values("position")
    result: list[dict[str, Any]] = []
    for variant in variants.itertuples():
        row: dict[str, Any] = {"variant": variant.variant, "position": variant.position, "baseline": variant.baseline}
        found = {axis: side.get(variant.position) for axis, side in sides.items()}
        for axis, cell in found.items():
            row |= {axis + suffix: cell[name] if cell else None for name, suffix in _OF_AXIS.items()}
        statuses = {axis: cell["status"] if cell else NOT_MEASURED for axis, cell in found.items()}
        row["status"] = worst(list(statuses.values()))
        row["rounds"] = min(cell["n_rounds"] if cell else 0 for cell in found.values())
        row["reason"] = next((c["reason"] for a, c in found.items() if c and statuses[a] == row["status"]), None)
        result.append(row)
    numbers = [axis + _OF_AXIS[name] for axis in "xy" for name in ("value", "low", "high", "ratio")]
    names = [*(f"{axis}{suffix}" for axis in "xy" for suffix in _OF_AXIS.values()), "status", "reason", "rounds"]
    table = pd.DataFrame(result, columns=["variant", "position", "baseline", *names], dtype="object")
    table = table.astype({name: "float64" for name in numbers} | {"position": "int64", "rounds": "int64", "baseline": "bool"})
    better = metric(x).higher_is_better, metric(y).higher_is_better
    table["imported"] = (table["x_verdict"] == IMPORTED) | (table["y_verdict"] == IMPORTED)
    here = table[["x", "y"]].mask(table["imported"])  # what another tool measured beats nobody, and nobody beats it
    table["alike"] = list(variants["alike"]) if "alike" in variants else 0
    table["on_front"] = False
    for _, rows in here.groupby(table["alike"]):
        table.loc[rows.index, "on_front"] = pareto_front(rows["x"].to_numpy(), rows["y"].to_numpy(), *better)
    return table


def pareto_front(x: Any, y: Any, x_higher: bool | None, y_higher: bool | None) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Mask of the points that no other point beats: at least as good on both axes and better on one.

    x, y: numbers of equal length, NaN for missing; a missing point is neither on the front nor beats another.
    x_higher, y_higher: whether more is better; None counts as less is better.
    """
    signs = (-1 if x_higher else 1), (-1 if y_higher else 1)
    points = np.column_stack([np.asarray(x, dtype=float), np.asarray(y, dtype=float)]) * signs
    here = np.isfinite(points).all(axis=1)
    rivals = points[here]
    beaten = np.array([((rivals <= p).all(axis=1) & (rivals < p).any(axis=1)).any() for p in points], dtype=bool)
    return np.asarray(here & ~beaten, dtype=bool)


def _axis(frame: pd.DataFrame, name: str, point: str | None) -> dict[int, dict[str, Any]]:
    """{position: row} of one metric at one point."""
    rows = frame[frame["metric"] == name]
    labels = list(dict.fromkeys(rows["point_label"]))
    if point is not None and point not in labels:
        raise ValueError(f"{name} has no point {point!r}; its points are {', '.join(map(repr, labels)) or 'none'}")
    chosen = point if point is not None else labels[0] if labels else None
    return {r["position"]: r for r in rows[rows["point_label"] == chosen].to_dict("records")}
