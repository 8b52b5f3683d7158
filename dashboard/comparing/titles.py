"""The titles of the charts of a comparison: what each of them shows, in one line. What was measured under different conditions is not ranked."""

from __future__ import annotations

import pandas as pd

from dashboard.words import value_text
from engine.metrics import metric


def trade_off_title(points: pd.DataFrame, x: str, y: str) -> str:
    drawn = points[points["x"].notna() & points["y"].notna()]
    if drawn.empty:
        return "No variant was measured in both"
    front = [str(name) for name in drawn[drawn["on_front"]]["variant"]]
    if drawn["alike"].nunique() > 1:
        return f"{len(drawn)} variants under {drawn['alike'].nunique()} sets of conditions, each with a front of its own"
    if len(front) == len(drawn) > 1:
        return f"A trade-off throughout: none of the {len(drawn)} variants is beaten in both"
    if len(front) == 1 and len(drawn) > 1:
        return f"{front[0]} has the best value in both"
    return f"{len(front)} of {len(drawn)} variants are not beaten in both: {', '.join(front)}"


def sample_title(frame: pd.DataFrame, name: str) -> str:
    middles = frame[frame["counted"].astype(bool)].groupby("variant")["value"].median() if len(frame) else pd.Series(dtype="float64")
    if middles.empty:
        return f"{metric(name).label}: no sample counts yet"
    if len(middles) == 1:
        return f"{metric(name).label}: median {value_text(name, middles.iloc[0])}"
    low, high = middles.idxmin(), middles.idxmax()
    return f"{metric(name).label}: medians from {value_text(name, middles[low])} ({low}) to {value_text(name, middles[high])} ({high})"


def sweep_title(frame: pd.DataFrame, key: str, name: str, conditions: int) -> str:
    drawn = frame[frame["value"].notna() & (frame["x"] > 0)]
    if drawn.empty:
        return f"{metric(name).label} over {key.replace('_', ' ')}: nothing measured"
    if conditions > 1:
        return f"{metric(name).label} over {key.replace('_', ' ')}, under {conditions} sets of conditions"
    last = drawn[drawn["x"] == drawn["x"].max()]
    best = last.loc[last["value"].idxmax() if metric(name).higher_is_better else last["value"].idxmin()]
    word = "highest" if metric(name).higher_is_better else "lowest"
    return f"{metric(name).label} at {key.replace('_', ' ')} {best['x']:g}: {word} in {best['variant']}, {value_text(name, best['value'])}"


def memory_title(frame: pd.DataFrame, conditions: int) -> str:
    peaks = frame[frame["value"].notna()]
    if peaks.empty:
        return "No memory was measured"
    name = next(n for n in ("peak_memory_bytes", "weight_bytes", *peaks["metric"]) if n in set(peaks["metric"]))
    rows = peaks[peaks["metric"] == name]
    if conditions > 1:
        return f"{metric(name).label} under {conditions} sets of conditions"
    least = rows.loc[rows["value"].idxmin()]
    return f"{metric(name).label}: least in {least['variant']}, {value_text(name, least['value'])}"
