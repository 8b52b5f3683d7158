"""A frozen snapshot: what a page showed at a moment, as one document whose id is made from its hash.

The document holds everything that is needed to show it again: records with their samples and the results computed from them then.
Whoever changes a stored document changes its hash, and the link, which carries part of it, no longer fits.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any

from engine.analysis import Row
from engine.record import Record

FORMAT = "llm-tradeoff-lab-snapshot/1"
_ID_LENGTH = 22  # 132 bits of the hash
_MOST_BYTES = 256 * 2**20
_LISTED = ("name", "page", "owner", "created_at")


class TamperedError(ValueError):
    """The stored document is not the one that was frozen."""


@dataclass(frozen=True)
class Snapshot:
    """What was frozen. records and rows: by experiment id. params: what the page's address said. frames: tables of other pages, by name."""

    id: str
    sha256: str
    name: str
    page: str
    params: Mapping[str, str]
    owner: str | None
    created_at: str
    records: Mapping[str, Record]
    rows: Mapping[str, tuple[Row, ...]]
    frames: Mapping[str, Sequence[Mapping[str, Any]]]


def freeze(
    name: str, page: str, params: Mapping[str, str], owner: str | None, found: Sequence[tuple[Record, Sequence[Row]]],
    frames: Mapping[str, Sequence[Mapping[str, Any]]] | None = None, *, variants: int | None = None,
) -> dict[str, Any]:
    """The row that db.saved keeps, of (record with all samples, its rows) each. variants: how many are shown, all of the records where it is not
    said. Two of the same moment have different ids: none can be guessed."""
    content = {
        "format": FORMAT, "name": " ".join(name.split()), "page": page, "params": dict(params), "owner": owner,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"), "nonce": secrets.token_urlsafe(16),
        "records": {record["experiment"]["id"]: _without_logs(record) for record, _ in found},
        "rows": {record["experiment"]["id"]: [asdict(row) for row in rows] for record, rows in found},
        "frames": dict(frames or {}),
    }  # fmt: skip
    text = json.dumps(content, allow_nan=False, separators=(",", ":")).encode()  # keys as they are: their order is that of labels
    digest = hashlib.sha256(text)
    shown = sum(len(record["variants"]) for record, _ in found) if variants is None else variants
    return {
        "id": _id_of(digest.digest()), "sha256": digest.hexdigest(), "document": zlib.compress(text, 6), "variants": shown,
        **{key: content[key] for key in _LISTED},
    }  # fmt: skip


def thaw(row: Mapping[str, Any]) -> Snapshot:
    """What was frozen, from its row (db.saved.snapshot). Raises TamperedError where document, hash, id and the row's facts do not belong together."""
    try:
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(row["document"], _MOST_BYTES)
        whole = unpacker.eof and not unpacker.unconsumed_tail
    except zlib.error:
        raise TamperedError("its content cannot be unpacked") from None
    digest = hashlib.sha256(text)
    if not whole or digest.hexdigest() != row["sha256"] or _id_of(digest.digest()) != row["id"]:
        raise TamperedError(f"its content has the hash {digest.hexdigest()[:16]}…, which is not the one that its link names")
    content = json.loads(text)
    if content["format"] != FORMAT:
        raise ValueError(f"snapshot: it has format {content['format']!r}; this version reads {FORMAT!r}")
    if changed := [key for key in _LISTED if row[key] != content[key]]:
        raise TamperedError(f"its {' and '.join(changed).replace('created_at', 'date')} was changed after it was frozen")
    rows = {key: tuple(Row(**{f.name: one.get(f.name) for f in fields(Row)}) for one in found) for key, found in content["rows"].items()}
    facts = {key: content[key] for key in (*_LISTED, "params", "records", "frames")}
    return Snapshot(row["id"], row["sha256"], rows=rows, **facts)


def _id_of(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).decode()[:_ID_LENGTH]


def _without_logs(record: Record) -> Record:
    """The log of a run that succeeded is nothing that a page shows of a finished experiment."""
    runs = [run if run["status"] in ("failed", "timed_out") else run | {"log_tail": None} for run in record["runs"]]
    return record | {"runs": runs}
