"""An experiment's results as one JSON document: every number with its verdict, and why each variant is as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.analysis import Row, rows
from engine.answers.explain import Why, explain
from engine.cells import worst
from engine.measurement import Status
from engine.record import Record, control_position


def document(record: Record, link: str | None) -> dict[str, Any]:
    """The JSON document that `run --json` prints; a contract with other programs. Floats, null where there is none.

    status: the worst of the variant's runs. evidence: that of its first run that succeeded.
    ci: 95 %, over all looks together where it may stop early; not adjusted for the number of metrics. why: sentences for people.
    """
    by_position: dict[int, list[Row]] = {}
    found = rows(record)
    for row in found:
        by_position.setdefault(row.position, []).append(row)
    experiment = record["experiment"]
    return {
        "experiment": {"id": experiment["id"], "title": experiment["title"], "link": link},
        "variants": [_document_variant(record, why, by_position.get(why.position, [])) for why in explain(record, found)],
    }


def _document_variant(record: Record, why: Why, found: Sequence[Row]) -> dict[str, Any]:
    variant = record["variants"][why.position]
    runs = [r for r in record["runs"] if r["variant"] == why.position]
    status = worst([r["status"] for r in runs])
    metrics = [
        {
            "metric": r.metric, "unit": r.unit, "point": r.point, "median": r.value, "n_rounds": r.n_rounds,
            "ratio": r.ratio, "ci": None if r.ci_low is None else [r.ci_low, r.ci_high], "verdict": r.verdict,
            "status": r.status, "reason": r.reason,
        }
        for r in found
    ]  # fmt: skip
    return {
        "name": variant["name"],
        "baseline": variant["baseline"],
        "control": why.position == control_position(record),
        "stack": [{"technique": t["technique"], "options": t["options"]} for t in variant["stack"]],
        "status": status,
        "reason": next((r["reason"] for r in runs if r["status"] == status), None),
        "evidence": next((r["evidence"] for r in runs if r["status"] == Status.SUCCEEDED), None),
        "metrics": metrics,
        "why": list(why.sentences),
    }
