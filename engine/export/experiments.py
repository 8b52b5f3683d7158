"""A list of experiments as CSV and JSON: a row per experiment, the same facts and names in both. Reads no database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from engine.export.formats import csv_chunks
from engine.export.table import Column, Table, columns
from engine.measurement import Status

RUN_STATUSES = tuple(s.value for s in Status if s is not Status.NOT_MEASURED)
COLUMNS = (
    *columns(experiment_id="text", title="text", status="text", model="text", workload="text", device="text", hardware="text",
             techniques="text", variants="count", runs="count"),
    *(Column(f"runs_{status}", "count") for status in RUN_STATUSES),
    *columns(tags="text", owner="text", source="text", archived="flag", created_at="time", link="text"),
)  # fmt: skip


def document(row: dict[str, Any], link: Callable[[str], str]) -> dict[str, Any]:
    """row: of db.listing.experiments. COLUMNS as JSON data; techniques and tags are lists."""
    found: dict[str, Any] = {f"runs_{status}": int(row[status]) for status in RUN_STATUSES}
    found |= {k: row[k] for k in ("title", "model", "workload", "device", "hardware", "owner", "source")}
    found |= {"experiment_id": row["id"], "status": _status(row), "variants": int(row["variants"]), "runs": int(row["runs"]),
              "techniques": list(row["techniques"]), "tags": list(row["tags"]), "archived": bool(row["archived"]),
              "created_at": f"{row['created_at']:%Y-%m-%dT%H:%M:%SZ}", "link": link(row["id"])}  # fmt: skip
    return {column.name: found[column.name] for column in COLUMNS}


def csv_of(rows: Iterable[dict[str, Any]], link: Callable[[str], str]) -> Iterator[str]:
    """Chunks of one file with a header. Techniques and tags stand in one cell each, with '; ' between them."""
    return csv_chunks(Table(COLUMNS, (_cells(document(row, link)) for row in rows)))


def _cells(found: dict[str, Any]) -> list[Any]:
    return ["; ".join(value) if isinstance(value, list) else value for value in found.values()]


def _status(row: dict[str, Any]) -> str:
    return "running" if row["running"] else "queued" if row["queued"] else "finished"
