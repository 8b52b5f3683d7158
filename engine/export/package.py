"""Several files in one ZIP with a manifest that says what each is, how many rows it has, and its hash."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from engine.export.files import FORMATS, Source, content

FORMAT = "llm-tradeoff-lab-export/1"
_TABLES = ("csv", "variants", "samples", "parquet")


@dataclass(frozen=True)
class Part:
    """A file of the package. rows: None where it is no table."""

    name: str
    data: bytes
    rows: int | None = None


def package(sources: Sequence[Source], extra: Iterable[Part] = (), *, title: str = "") -> bytes:
    """The tables, a bundle of each experiment, `extra`, and manifest.json. The records must be loaded with all samples."""
    now = datetime.now(UTC)
    parts = [*extra, *(_table(name, sources) for name in _TABLES)]
    parts += [Part(f"{s.record['experiment']['id']}.bundle.json", content("bundle", s)) for s in sources]
    manifest = {
        "format": FORMAT, "title": title, "created_at": now.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "experiments": [{**{k: s.record["experiment"][k] for k in ("id", "title", "created_at")}, "link": s.link} for s in sources],
        "files": [{"name": p.name, "rows": p.rows, "bytes": len(p.data), "sha256": hashlib.sha256(p.data).hexdigest()} for p in parts],
    }  # fmt: skip
    parts.append(Part("manifest.json", json.dumps(manifest, indent=1).encode()))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for part in parts:
            archive.writestr(zipfile.ZipInfo(part.name, now.timetuple()[:6]), part.data, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _table(name: str, sources: Sequence[Source]) -> Part:
    data = content(name, *sources)
    ending = FORMATS[name].ending
    return Part(f"results.{ending}" if "." not in ending else ending, data, count_rows(name, data))


def count_rows(name: str, data: bytes) -> int:
    """How many rows a table has, read back from the file itself."""
    if name == "parquet":
        import pyarrow as pa
        import pyarrow.parquet

        return int(pyarrow.parquet.read_metadata(pa.BufferReader(data)).num_rows)
    return sum(1 for _ in csv.reader(io.StringIO(data.decode(), newline=""))) - 1
