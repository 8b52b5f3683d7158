"""Lists of experiments as CSV and JSON: a row per experiment, the same facts and names in both. Streams; reads no database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from engine.export import csv_chunks
from engine.measurement import Status

RUN_STATUSES = tuple(s.value for s in Status if s is not Status.NOT_MEASURED)
COLUMNS = ("experiment_id", "title", "status", "model", "workload", "device", "hardware", "techniques", "variants", "runs",
           *(f"runs_{status}" for status in RUN_STATUSES), "tags", "owner", "source", "archived", "created_at", "link")  # fmt: skip


def document(row: dict[str, Any], link: Callable[[str], str]) -> dict[str, Any]:
    """row: of db.listing.experiments. COLUMNS as JSON data; techniques and tags are lists."""
    found: dict[str, Any] = {f"runs_{status}": int(row[status]) for status in RUN_STATUSES}
    found |= {k: row[k] for k in ("title", "model", "workload", "device", "hardware", "owner", "source")}
    found |= {"experiment_id": row["id"], "status": _status(row), "variants": int(row["variants"]), "runs": int(row["runs"]),
              "techniques": list(row["techniques"]), "tags": list(row["tags"]), "archived": bool(row["archived"]),
              "created_at": f"{row['created_at']:%Y-%m-%dT%H:%M:%SZ}", "link": link(row["id"])}  # fmt: skip
    return {name: found[name] for name in COLUMNS}


def csv_of(rows: Iterable[dict[str, Any]], link: Callable[[str], str]) -> Iterator[str]:
    """Chunks of one file with a header. Techniques and tags stand in one cell each, with '; ' between them; what is missing is empty."""
    return csv_chunks(COLUMNS, (_cells(document(row, link)) for row in rows))


def _cells(found: dict[str, Any]) -> list[Any]:
    return ["; ".join(value) if isinstance(value, list) else value for value in found.values()]


def _status(row: dict[str, Any]) -> str:
    return "running" if row["running"] else "queued" if row["queued"] else "finished"
