"""Records for the tests of exports, and how a file is read back."""

from __future__ import annotations

import csv
import io
from typing import Any

from tests.records import build_record

LINK = "http://localhost:8501/experiment?id=test-experiment-000001"


def record(name: str = "small", **changes: Any) -> dict[str, Any]:
    """Two variants of three rounds: `base`, and one that takes half of the time and has no cache."""
    return build_record({
        "base": {"ttft_seconds": [1.0, 1.1, 1.2], "kv_cache_bytes": [10.0] * 3}, name: {"ttft_seconds": [0.5, 0.55, 0.6], "kv_cache_bytes": [0.0] * 3},
    }, **changes)  # fmt: skip


def read(text: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.decode(), newline="")))
