"""What the catalogue says: techniques, workloads and metrics by what was searched for, and the frames of their pages. Draws nothing.

Everything is read from the classes and the metric table; a technique that somebody adds is in it without an edit here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pandas as pd

from dashboard import forms, store
from engine.answers.claims import Claim, claims, parse_stack
from engine.combinations import conflicts
from engine.metrics import METRICS, Metric
from engine.registry import discover
from engine.technique import SLOT_ORDER, Slot

Row = dict[str, Any]
KINDS = {"techniques": "Techniques", "workloads": "Workloads", "metrics": "Metrics"}
PHASES = {"inference": "for inference", "training": "for training", "any": "for inference and training"}
_BETTER = {True: "more is better", False: "less is better", None: "neither"}
_COMMAND = re.compile(r"(?:python -m|pip install|apt-get install)\b[\w .=/+-]+$")


def techniques(search: str = "", family: str | None = None) -> list[Row]:
    """In the order in which they act on a model; those in which every word of the search occurs."""
    rows = sorted(store.catalogue()["techniques"], key=lambda r: (SLOT_ORDER[Slot(r["slot"])], r["label"].lower()))
    return [r for r in rows if family in (None, r["family"]) and _found(search, (r["name"], r["label"], r["summary"], r["costs"], r["family"], r["slot"]))]


def families() -> list[str]:
    """As techniques name them, in the order in which they act on a model."""
    return list(dict.fromkeys(r["family"] for r in techniques()))


def workloads(search: str = "") -> list[Row]:
    return [r for r in store.catalogue()["workloads"] if _found(search, (r["name"], r["label"], r["summary"]))]


def metrics(search: str = "") -> list[Metric]:
    return [m for m in METRICS.values() if _found(search, (m.name, m.label, m.help, m.kind, m.unit))]


def _found(search: str, texts: Iterable[str]) -> bool:
    words = search.lower().split()
    whole = " ".join(texts).lower().replace("_", " ")
    return all(w.replace("_", " ") in whole for w in words)


def options(schema: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(forms.described(schema), columns=["Option", "Takes", "Default", "What it is"])


def not_with(name: str) -> tuple[list[str], pd.DataFrame]:
    """(sentences on whole groups of techniques that cannot be in a stack with this one, a row with the reason for each of the others)."""
    labels = {r["name"]: r["label"] for r in store.catalogue()["techniques"]}
    found = conflicts(name)
    groups = [f"{c.reason[0].upper()}{c.reason[1:]}: {', '.join(labels[o] for o in c.others)}." for c in found if len(c.others) > 1]
    rows = [(labels[c.others[0]], c.reason) for c in found if len(c.others) == 1]
    return groups, pd.DataFrame(rows, columns=["Not together with", "Why"])


def presets_with(name: str, *, workload: bool = False) -> list[tuple[str, str]]:
    """[(name, title)] of the presets that use a technique or a workload."""
    return [(p["name"], p["title"]) for p in store.catalogue()["presets"] if name in _used(p["spec"], workload=workload)]


def _used(spec: Row, *, workload: bool) -> set[str]:
    return {spec["workload"]["name"]} if workload else {t["technique"] for v in spec["variants"] for t in v["stack"]}


def claims_about(name: str) -> list[Claim]:
    """The chapter's claims that are tested by a variant with this technique."""
    return [c for c in claims() if c.settle and any(t.technique == name for text in c.settle.variant for t in parse_stack(text))]


def phase_of(name: str) -> str:
    return PHASES[discover().techniques[name].phase]


def install_command(reason: str | None) -> str | None:
    """The command at the end of a reason why something is not available, where there is one."""
    found = _COMMAND.search(reason or "")
    return found[0].strip() if found else None


def measured_by() -> dict[str, list[str]]:
    """{metric: labels of the workloads that measure it}."""
    found: dict[str, list[str]] = {}
    for workload in discover().workloads.values():
        for name in dict.fromkeys((*workload.metrics, *workload.quality_metrics)):
            found.setdefault(name, []).append(workload.label)
    return found


def metric_table(shown: Iterable[Metric]) -> pd.DataFrame:
    """One row per metric: what it is called here and in files, its unit, which way is better, the margin of its verdicts, what it is."""
    by = measured_by()
    return pd.DataFrame([
        {"Metric": m.label, "In files": m.name, "Kind": m.kind, "Unit": m.unit or "none", "Direction": _BETTER[m.higher_is_better],
         "Margin": f"{m.margin * 100:g} %", "What it is": m.help, "Measured by": ", ".join(by.get(m.name, []))}
        for m in shown
    ])  # fmt: skip


def workload_metrics(name: str) -> pd.DataFrame:
    """What a workload measures; those that decide on its verdict table first."""
    workload = discover().workloads[name]
    order = dict.fromkeys((*workload.decides, *workload.metrics, *workload.quality_metrics))
    return pd.DataFrame([
        {"Metric": METRICS[n].label, "In files": n, "Decides": "yes" if n in workload.decides else "", "What it is": METRICS[n].help} for n in order
    ])  # fmt: skip
