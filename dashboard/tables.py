"""Frames for the tables of the pages: numbers as text with units, changes and verdict words. Draws nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from dashboard.words import (
    LIMIT,
    NOT_MEASURED,
    STATUS,
    VERDICT,
    change_text,
    interval_text,
    number,
    p_text,
    percent_text,
    run_status,
    value_text,
)
from engine.answers.explain import Why
from engine.answers.interactions import Interaction
from engine.decisive import Decisive
from engine.flips import Flips
from engine.metrics import METRICS
from engine.record import Record
from engine.registry import discover

KINDS = {"All": None, "Speed": "speed", "Memory": "memory", "Energy": "energy", "Quality": "quality", "Fidelity": "fidelity"}


def at_point(summary: pd.DataFrame, metric: str, point: str | None) -> pd.DataFrame:
    """The rows of a metric at a point, at its first one where it does not have that point."""
    rows = summary[summary["metric"] == metric]
    labels = list(dict.fromkeys(rows["point_label"]))
    chosen = point if point in labels else labels[0] if labels else None
    return rows[rows["point_label"] == chosen]


def headline(summary: pd.DataFrame, point: str | None, decisive: Decisive) -> pd.DataFrame:
    """One row per variant: the metrics that decide, each with value, change and verdict; quality always among them."""
    variants = summary.drop_duplicates("position").sort_values("position")
    table = pd.DataFrame({"Variant": list(variants["variant"])}, index=list(variants["position"]))
    for name in decisive.names:
        rows = at_point(summary, name, point).set_index("position")
        if len(rows) or name == decisive.quality:
            texts = [_cell(rows.loc[p]) if p in rows.index else STATUS[NOT_MEASURED] for p in table.index]
            table[METRICS[name].label] = texts
    return table.reset_index(drop=True)


def _cell(row: Any) -> str:
    verdict = VERDICT.get(row["verdict"], row["verdict"])
    if number(row["value"]) is None:
        return str(verdict)
    parts = [value_text(row["metric"], row["value"]), change_text(row["ratio"]), verdict]
    return " · ".join(p for p in parts if p)


def verdicts(summary: pd.DataFrame, kind: str | None, quality: str | None) -> pd.DataFrame:
    """One row per variant x metric x point of a kind (None: all). quality: the metric that stands beside every speed."""
    rows = summary if kind is None else summary[summary["kind"] == kind]
    table = pd.DataFrame({
        "Variant": rows["variant"], "Metric": rows["label"], "Point": rows["point_label"],
        "Value": [value_text(m, v) for m, v in zip(rows["metric"], rows["value"], strict=True)],
        "Change": [change_text(r) for r in rows["ratio"]],
        "95 % interval": [interval_text(a, b) for a, b in zip(rows["ci_low"], rows["ci_high"], strict=True)],
        "Verdict": [VERDICT.get(v, v) for v in rows["verdict"]],
        "Rounds": rows["n_rounds"], "Samples": rows["n_samples"],
    })  # fmt: skip
    if kind == "speed" and quality is not None:
        found = summary[summary["metric"] == quality].drop_duplicates("position").set_index("position")
        texts = [_cell(found.loc[p]) if p in found.index else STATUS[NOT_MEASURED] for p in rows["position"]]
        table.insert(7, f"{METRICS[quality].label} of it", texts)
    table["Remark"] = [reason or "" for reason in rows["reason"]]
    return table.reset_index(drop=True)


def fidelity(summary: pd.DataFrame) -> pd.DataFrame:
    """One row per variant: every quality, and every likeness to the baseline, that this experiment has."""
    names = [n for n in METRICS if n in set(summary["metric"]) and METRICS[n].kind in ("quality", "fidelity")]
    variants = summary.drop_duplicates("position").sort_values("position")
    table = pd.DataFrame({"Variant": list(variants["variant"])}, index=list(variants["position"]))
    for name in names:
        rows = summary[summary["metric"] == name].drop_duplicates("position").set_index("position")
        shown = [_value_or_why(rows, name, position) for position in table.index]
        baseline = set(variants[variants["baseline"]]["position"]) if not METRICS[name].compared else set()
        table[METRICS[name].label] = ["is the baseline" if p in baseline else t for p, t in zip(table.index, shown, strict=True)]
        if METRICS[name].compared:
            table[f"Change of {METRICS[name].label.lower()}"] = [change_text(rows.loc[p]["ratio"]) if p in rows.index else "" for p in table.index]
    return table.reset_index(drop=True)


def _value_or_why(rows: pd.DataFrame, name: str, position: int) -> str:
    if position not in rows.index:
        return STATUS[NOT_MEASURED]
    row = rows.loc[position]
    if number(row["value"]) is None:
        return str(VERDICT.get(row["verdict"], row["verdict"]))
    text = value_text(name, row["value"])
    if name == "prediction_agreement":  # one sample per example
        text += f" ({round((1 - row['value']) * row['n_samples']):,} of {row['n_samples']:,} changed)"
    return text


def flips(found: Sequence[Flips]) -> pd.DataFrame:
    """One row per variant and quality: right answers lost and gained against the baseline, and McNemar's p."""
    return pd.DataFrame({
        "Variant": [f.variant for f in found], "Quality": [METRICS[f.metric].label for f in found],
        "Examples": [f.examples for f in found], "Right in both": [f.both for f in found],
        "Right in the baseline alone": [f.only_baseline for f in found],
        "Right in the variant alone": [f.only_variant for f in found],
        "McNemar's p": [p_text(f.p) for f in found],
    })  # fmt: skip


def regimes(explained: Sequence[Why]) -> pd.DataFrame:
    """One row per variant, phase and point: what limits it, and the share of the time that each resource alone would need."""
    found = [(w.variant, r) for w in explained for r in w.regimes]
    return pd.DataFrame({
        "Variant": [name for name, _ in found], "Phase": [r.phase for _, r in found], "Point": [r.point_label for _, r in found],
        "Limit": [LIMIT[r.word] for _, r in found],
        "Bandwidth": [_share(r.bytes_share) for _, r in found], "Arithmetic": [_share(r.flops_share) for _, r in found],
        "Starting operators": [_share(r.launch_share) for _, r in found], "Waiting, in the profile": [_share(r.waiting) for _, r in found],
    })  # fmt: skip


def _share(value: float | None) -> str:
    return STATUS[NOT_MEASURED] if value is None else percent_text(value)


def interactions(found: Sequence[Interaction]) -> pd.DataFrame:
    """One row per pair of changes, metric and point: each change alone, what their product would be, and what both together are."""
    return pd.DataFrame({
        "Together": [f.both for f in found], "One": [f.first for f in found], "The other": [f.second for f in found],
        "Metric": [METRICS[f.metric].label for f in found], "Interaction": [f.word for f in found],
        "One alone": [change_text(f.of_first) for f in found], "The other alone": [change_text(f.of_second) for f in found],
        "Product of both": [change_text(f.product) for f in found], "Measured together": [change_text(f.together) for f in found],
        "Measured against product": [change_text(f.interaction) for f in found],
        "95 % interval": [interval_text(f.low, f.high) for f in found],
        "Point": [f.point_label for f in found], "Remark": [f.reason or "" for f in found],
    })  # fmt: skip


def runs(record: Record) -> pd.DataFrame:
    """One row per run in the order of execution, with its reason."""
    names = [v["name"] for v in record["variants"]]
    columns = ("Run", "Variant", "Round", "Kind", "Status", "Reason", "Seconds", "Device")
    data = [
        (r["id"], names[r["variant"]], r["round"] + 1, r["kind"], run_status(r), r["reason"] or "", r["seconds"], r["device"] or "")
        for r in record["runs"]
    ]
    return pd.DataFrame(data, columns=list(columns))


def options_text(stack: Sequence[dict[str, Any]]) -> str:
    """'bnb_4bit(quant_type=fp4) + kv_cache'; 'the model as stored' for the empty stack."""
    parts = []
    for technique in stack:
        options = ", ".join(f"{k}={v}" for k, v in technique["options"].items())
        parts.append(f"{technique['technique']}({options})" if options else technique["technique"])
    return " + ".join(parts) or "the model as stored"


def workload(written: dict[str, Any]) -> pd.DataFrame:
    """One row per option: its value, its default, and whether they differ. Of a workload that is not known here, what was written."""
    known = discover().workloads.get(written["name"])
    if known is None:
        return pd.DataFrame([(name, _plain(value), "", "") for name, value in written["options"].items()], columns=_OPTION_COLUMNS)
    values, usual = known(**written["options"]).model_dump(mode="json"), known().model_dump(mode="json")
    rows = [(name.replace("_", " "), _plain(v), _plain(usual[name]), "changed" if v != usual[name] else "") for name, v in values.items()]
    return pd.DataFrame(rows, columns=_OPTION_COLUMNS)


_OPTION_COLUMNS = ["Option", "Value", "Default", ""]


def environments(found: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """One row per fact, one column per environment; what is not equal in all of them comes first and says so."""
    flat = [{k: v for key, value in facts.items() for k, v in _facts(key, value)} for facts in found.values()]
    keys = sorted(dict.fromkeys(k for facts in flat for k in facts), key=lambda k: len({facts.get(k, "") for facts in flat}) == 1)
    names = [f"Environment {i}" for i in range(1, len(flat) + 1)] if len(flat) > 1 else ["Value"]
    table = pd.DataFrame({"Fact": keys, **{name: [facts.get(k, "not recorded") for k in keys] for name, facts in zip(names, flat, strict=True)}})
    if len(flat) > 1:
        table[""] = ["differs" if len({facts.get(k, "") for facts in flat}) > 1 else "" for k in keys]
    return table


def _facts(key: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [fact for k, v in value.items() for fact in _facts(f"{key} {k}", v)]
    text = value_text("weight_bytes", value) if key.endswith("_bytes") else _plain(value)
    return [(key.removesuffix("_bytes").replace("_", " "), text)]


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else "none" if value is None else str(value)
