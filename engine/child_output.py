"""What a child prints: drained without end, kept within bounds, shown as valid text without secrets.

Owns log.txt of a run. Must never block the child, nor use more than a fixed amount of disk and memory.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine import redaction

LOG_BYTES = 1_000_000
RECENT_BYTES = 65_536
TAIL_CHARACTERS = 4_000

_CHUNK = 65_536
_NOT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


class Output:
    """Drains a pipe into a file in a thread of its own. `pipe` is the end that a child writes into.

    The file gets the first 1 MB, line by line, secrets masked. The last 64 KB stay in memory and are appended at the end.
    """

    def __init__(self, path: Path) -> None:
        self._log = path.open("wb", buffering=0)
        reading, self.pipe = os.pipe()
        self._source = os.fdopen(reading, "rb", buffering=0)
        self._total = self._written = 0
        self._held = bytearray()  # the last line so far: a secret may be half in it
        self._recent = bytearray()
        self._lock = threading.Lock()
        self._stop = os.eventfd(0)
        self._thread = threading.Thread(target=self._drain, name=f"output of {path.parent.name}", daemon=True)
        self._thread.start()

    def tail(self) -> str:
        """At most the last 4,000 characters so far: valid text, tokens redacted."""
        with self._lock:
            recent = bytes(self._recent)
        return printable(recent.decode(errors="replace"))[-TAIL_CHARACTERS:]

    def close_pipe(self) -> None:
        """Our copy of the writing end; while it is open, the end of the child's output cannot be seen."""
        if self.pipe >= 0:
            os.close(self.pipe)
            self.pipe = -1

    def finish(self) -> None:
        """Read what is still in the pipe and end the thread, also where a process that got away holds the pipe open."""
        self.close_pipe()
        if self._thread.is_alive():
            os.eventfd_write(self._stop, 1)
            self._thread.join()
        if self._stop >= 0:
            os.close(self._stop)
            self._stop = -1

    def _drain(self) -> None:
        with self._source, self._log:
            for chunk in self._chunks():
                self._total += len(chunk)
                complete = self._written + len(self._held) + len(chunk) == self._total
                if complete and self._total <= LOG_BYTES:
                    self._held += chunk
                    end = redaction.whole(self._held)
                    self._write(self._held[:end])
                    del self._held[:end]
                with self._lock:
                    self._recent += chunk
                    del self._recent[:-RECENT_BYTES]
            self._write_end()

    def _chunks(self) -> Iterator[bytes]:
        poll = select.poll()
        poll.register(self._source, select.POLLIN)
        poll.register(self._stop, select.POLLIN)
        after_stop = 16  # chunks: what a pipe can hold; more comes from a process that got away
        while after_stop:
            ready = {fd for fd, _ in poll.poll()}
            if self._stop in ready:
                after_stop -= 1
                if self._source.fileno() not in ready:
                    return
            if not (chunk := os.read(self._source.fileno(), _CHUNK)):
                return
            yield chunk

    def _write(self, data: bytes | bytearray) -> None:
        """Counts what the child printed, not what became of it."""
        text = redaction.masked_bytes(bytes(data))
        with contextlib.suppress(OSError):  # disk full: the child must be drained all the same
            self._written += len(data) if self._log.write(text) == len(text) else 0

    def _write_end(self) -> None:
        missing = self._total - self._written
        end = self._recent[-missing:] if missing else bytearray()
        if missing > len(end):
            del end[: redaction.first_whole(end)]
            self._write(f"\n[{missing - len(end)} bytes left out]\n".encode())
        self._write(end)


def printable(text: str) -> str:
    """Text that both databases store and a page may show: no control characters, no half characters, no secrets."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return redaction.masked(_NOT_TEXT.sub("\ufffd", text))


def printable_json(value: Any) -> Any:
    """The same for every text inside JSON data, keys included."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list):
        return [printable_json(v) for v in value]
    if isinstance(value, dict):
        return {printable(k): printable_json(v) for k, v in value.items()}
    return value
