"""The frames of the tables on the page that compares: verdicts, remarks, what differs in the configuration. Draws nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from dashboard.tables import options_text
from dashboard.words import NOT_MEASURED, STATUS, VERDICT, change_text, measured_text
from engine.analysis import Row
from engine.answers.comparison import Column, Comparison
from engine.comparability import NOT_RECORDED, conditions, flat
from engine.metrics import METRICS
from engine.record import LAYERED, Record

MOST_COLUMNS = 6
"""With more variants than this they are the rows of the verdict table."""
_NOT_CONFIGURED = ("title", "variants", "grid", "baseline", "workload")
"""Parts of a spec that say which variants there are, not how one of them ran."""


def verdict_table(found: Comparison, at: Sequence[Row], *, only_differences: bool) -> tuple[pd.DataFrame, list[str]]:
    """(the table, labels of the metrics that are left out because they are the same in all). at: one row per column and metric.

    Metrics as rows, what decides first; up to six variants are columns, more are rows.
    """
    cells = {(row.metric, row.position): row for row in at}
    quality = found.decides.quality  # stands beside every speed, the same in all or not measured at all
    names = [name for name in dict.fromkeys((*found.decides.names, *METRICS)) if name == quality or name in {row.metric for row in at}]
    of_all = {name: [cells.get((name, i)) for i in range(len(found.columns))] for name in names}
    same = [name for name in names if only_differences and name != quality and _same(of_all[name], found.columns)]
    shown = [name for name in names if name not in same]
    texts = {
        METRICS[name].label: [_cell(row, name, column) for row, column in zip(of_all[name], found.columns, strict=True)] for name in shown
    }  # fmt: skip
    variants = [heading(column) for column in found.columns]
    if len(variants) > MOST_COLUMNS:
        table = pd.DataFrame({"Variant": variants, **texts})
    else:
        table = pd.DataFrame({"Metric": list(texts), **{v: [column[i] for column in texts.values()] for i, v in enumerate(variants)}})
    return table, [METRICS[name].label for name in same]


def heading(column: Column) -> str:
    """Its name, with a star where it is what others are compared with."""
    return f"★ {column.name}" if column.baseline else column.name


def _same(rows: Sequence[Row | None], columns: Sequence[Column]) -> bool:
    """Whether nothing tells the columns apart: equivalent to the baseline, the same number in all, or measured in none."""
    if all(row is None or row.value is None for row in rows):
        return len({row.status if row else NOT_MEASURED for row in rows}) == 1
    if len({row.value if row else None for row in rows}) == 1:
        return len(columns) > 1
    return all(row is not None and (column.baseline or row.verdict == "equivalent") for row, column in zip(rows, columns, strict=True))


def _cell(row: Row | None, name: str, column: Column) -> str:
    if row is None:
        return VERDICT["baseline"] if column.own_baseline and not METRICS[name].compared else STATUS[NOT_MEASURED]
    verdict = VERDICT.get(row.verdict, row.verdict)
    if row.value is None:
        return verdict
    if row.kind == "fidelity":
        return measured_text(row.metric, row.value, row.low, row.high)
    parts = (measured_text(row.metric, row.value, row.low, row.high), change_text(row.ratio), verdict)
    return " · ".join(part for part in parts if part)


def remarks(found: Comparison, at: Sequence[Row]) -> pd.DataFrame:
    """One row per variant and metric of which there is something to say: why there is no value or no verdict, what was left out."""
    rows = [row for row in at if row.reason]
    rows.sort(key=lambda row: (list(METRICS).index(row.metric), row.position))
    return pd.DataFrame({
        "Variant": [row.variant for row in rows], "Metric": [row.label for row in rows], "Verdict": [VERDICT.get(row.verdict, row.verdict) for row in rows],
        "Remark": [row.reason for row in rows], "Point": [row.point_label for row in rows],
    })  # fmt: skip


def configuration(found: Comparison, records: Mapping[str, Record], *, only_differences: bool) -> tuple[pd.DataFrame, int]:
    """(one row per fact of spec, stack and environment, a column per variant; how many facts are left out because all are alike)."""
    facts = [_facts(column, records[column.ref.experiment]) for column in found.columns]
    keys = list(dict.fromkeys(key for own in facts for key in own))
    lines = {key: [own.get(key, NOT_RECORDED) for own in facts] for key in keys}
    shown = {key: values for key, values in lines.items() if not only_differences or len(set(values)) > 1}
    table = pd.DataFrame({"Setting": list(shown), **{heading(c): [values[i] for values in shown.values()] for i, c in enumerate(found.columns)}})
    return table, len(lines) - len(shown)


def _facts(column: Column, record: Record) -> dict[str, str]:
    """{'techniques': ..., 'workload prompt_tokens': ..., 'driver': ...} of one variant: as it was asked for, and where it ran."""
    asked: dict[str, Any] = {"techniques": options_text(column.stack)}
    for key, value in record["experiment"]["spec"].items():
        if key not in _NOT_CONFIGURED:
            asked |= {f"{key} {k}": v for k, v in value.items()} if isinstance(value, dict) else {key: value}
    used = next((r["environment"] for r in record["runs"] if r["environment"] and r["variant"] == column.ref.position), None)
    environment = dict(record["environments"].get(used, {}))
    if isinstance(layered := environment.pop(LAYERED, None), dict):
        environment |= {f"own package {name}": version for name, version in layered.get("packages", {}).items()}
    workload = {key: value for key, value in conditions(record).items() if key.startswith("workload")}
    return {key.replace("packages.", "").replace("_", " "): value for key, value in (flat(asked) | workload | flat(environment)).items()}
