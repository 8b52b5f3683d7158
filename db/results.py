"""Writes what a run left: its environment and its measurements. Used inside the transaction of the caller."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

from sqlalchemy import Connection, insert
from sqlalchemy.dialects import postgresql, sqlite

from db.tables import Environment, Measurement


def insert_environment(connection: Connection, facts: dict[str, Any] | None) -> str | None:
    """Store the facts once; returns their id, the sha256 of their JSON."""
    if not facts:
        return None
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    # two schedulers may store the same environment at once
    upsert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    connection.execute(upsert(Environment).values(id=key, facts=facts).on_conflict_do_nothing())
    return key


def insert_measurements(connection: Connection, run_id: int, measurements: list[dict[str, Any]]) -> None:
    """measurements: {metric, point, status, reason, value, samples, warmups}; refuses what one of the databases would bend."""
    if not measurements:
        return
    rows = [
        {
            "run_id": run_id,
            "metric": str(m["metric"]),
            "point": dict(m["point"]),
            "status": str(m["status"]),
            "reason": m["reason"],
            "value": None if m["value"] is None else _finite(m["metric"], float(m["value"])),
            "n_samples": len(m["samples"]) or int(m.get("n_samples") or 0),  # some tools say how many there were, and not which
            "samples": [float(x) for x in m["samples"]],
            "warmups": [float(x) for x in m["warmups"]],
        }
        for m in measurements
    ]
    connection.execute(insert(Measurement), rows)


def _finite(metric: str, value: float) -> float:
    if not math.isfinite(value):  # SQLite would store NULL, PostgreSQL the NaN; inside lists JSON refuses it on both
        raise ValueError(f"{metric}: not a finite number: {value}")
    return value
