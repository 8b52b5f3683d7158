"""What the scheduler and `make run` say while they work, on stderr: lines for people, or JSON lines for a log collector (LAB_LOG_FORMAT=json).

Standard logging only. Secrets are masked here. What a run prints is not in it: that is the run's own log.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from engine import redaction, settings

_LONGEST = 4_000


def logger(name: str) -> logging.Logger:
    """`log.warning(text)`; facts that a program looks for go into `extra={"run": 3}`. Lines for people show warnings only, JSON everything."""
    found = logging.getLogger(f"lab.{name}")
    if not found.handlers:
        found.addHandler(_Stderr())
        found.setLevel(logging.INFO)
        found.propagate = False
    return found


class _Stderr(logging.Handler):
    """Writes to what stderr is now, in the format that is set now."""

    def emit(self, record: logging.LogRecord) -> None:
        as_json = settings.log_format() == "json"
        if as_json or record.levelno >= logging.WARNING:
            print(_json_line(record) if as_json else _line(record), file=sys.stderr, flush=True)


def _line(record: logging.LogRecord) -> str:
    return f"{record.name.removeprefix('lab.')}: {redaction.masked(record.getMessage())}"


def _json_line(record: logging.LogRecord) -> str:
    said: dict[str, Any] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": record.levelname.lower(), "logger": record.name, "pid": record.process, "message": record.getMessage()[:_LONGEST],
    }  # fmt: skip
    said |= {name: value for name, value in vars(record).items() if name not in _OF_LOGGING and name not in said}
    return json.dumps({name: redaction.masked(v) if isinstance(v, str) else v for name, v in said.items()}, default=str)


_OF_LOGGING = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""What every record has; the rest is what `extra` said."""
