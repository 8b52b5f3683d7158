"""A foreign JSON file, within limits, and its fields with their places: whatever is wrong with one is said by file and field.

Nothing of a file is trusted: not its size, its depth, its types, nor that a number is one.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MAX_BYTES = 32 * 2**20
MAX_DEPTH = 40
MAX_ITEMS = 20_000
"""Of one list: the samples of a metric."""
_LONGEST_TEXT = 300
_SECRET = re.compile(r"token|secret|password|passwd|credential|api_?key|auth|cookie|header", re.IGNORECASE)


class NotThisFormatError(ValueError):
    """The file is none that can be read here."""


@dataclass(frozen=True)
class Node:
    """What is at one place of a file. file: its name; path: the names down to here, for complaints."""

    data: Any
    file: str
    path: str = ""

    def wrong(self, problem: str) -> ValueError:
        return ValueError(f"{self.file}: {plain(self.path) or 'the file'}: {problem}")

    def get(self, *names: str) -> Node | None:
        """What is down there; None where it, or something on the way, is missing or null."""
        here = self
        for name in names:
            if not isinstance(here.data, dict) or here.data.get(name) is None:
                return None
            here = Node(here.data[name], self.file, f"{here.path}.{name}".lstrip("."))
        return here

    def at(self, *names: str) -> Node:
        """The same of what must be there. Raises ValueError naming the first name that is missing."""
        here = self
        for name in names:
            found = here.get(name)
            if found is None:
                raise here.wrong(f"it has no {name!r}")
            here = found
        return here

    def items(self) -> Iterator[tuple[str, Node]]:
        """Name, as it may be shown, and node of each field that is not null."""
        if not isinstance(self.data, dict):
            raise self.wrong(f"an object is expected, not {_kind(self.data)}")
        for name in self.data:
            if (found := self.get(str(name))) is not None:
                yield plain(str(name)), found

    def list(self) -> list[Node]:
        if not isinstance(self.data, list):
            raise self.wrong(f"a list is expected, not {_kind(self.data)}")
        if len(self.data) > MAX_ITEMS:
            raise self.wrong(f"it has {len(self.data):,} items; {MAX_ITEMS:,} are read at most")
        return [Node(value, self.file, f"{self.path}[{i}]") for i, value in enumerate(self.data)]

    def number(self) -> float:
        if not _is_number(self.data):
            raise self.wrong(f"a number is expected, not {_kind(self.data)}")
        return float(self.data)

    def whole(self) -> int:
        value = self.number()
        if value != int(value) or abs(value) > 2**53:
            raise self.wrong(f"a whole number is expected, not {value:g}")
        return int(value)

    def numbers(self) -> tuple[float, ...]:
        return tuple(node.number() for node in self.list())

    def text(self) -> str:
        """On one line, without control characters, shortened where it is very long."""
        if not isinstance(self.data, str):
            raise self.wrong(f"text is expected, not {_kind(self.data)}")
        return plain(self.data)


def plain(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:_LONGEST_TEXT]


def parse(content: bytes, file: str) -> Node:
    """The file as a tree. Raises ValueError where it is too large, too deep or no JSON."""
    if len(content) > MAX_BYTES:
        raise ValueError(f"{file}: it has {len(content) / 2**20:.0f} MiB; {MAX_BYTES // 2**20} MiB are read at most")
    try:
        # NaN and Infinity are no JSON, though Python writes them: such a number was not measured
        data = json.loads(content.decode("utf-8-sig"), parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        lines = "; of a file with one JSON object per line, import the summary beside it" if content.lstrip()[:1] == b"{" else ""
        raise NotThisFormatError(f"{file}: it is not JSON, or was cut off{lines}") from None
    node = Node(data, file)
    if deeper(data, MAX_DEPTH):
        raise ValueError(f"{file}: it is nested more than {MAX_DEPTH} deep")
    return node


def facts(node: Node | None, names: tuple[str, ...] | None = None) -> dict[str, Any]:
    """{name: text, number or yes/no} of a settings object, one level of nesting joined by dots; what may hold a secret is left out."""
    found: dict[str, Any] = {}
    for name, value in node.items() if node is not None and isinstance(node.data, dict) else ():
        if (names is not None and name not in names) or _SECRET.search(name):
            continue
        if isinstance(value.data, dict):
            found |= {f"{name}.{k}": v for k, v in facts(value).items() if "." not in k}
        elif isinstance(value.data, str):
            found[name] = value.text()
        elif isinstance(value.data, bool) or _is_number(value.data):
            found[name] = value.data
    return dict(list(found.items())[:100])


def _is_number(data: Any) -> bool:
    """One that a float can be; 10**400 is JSON too."""
    try:
        return not isinstance(data, bool) and isinstance(data, int | float) and math.isfinite(data)
    except OverflowError:
        return False


def _kind(data: Any) -> str:
    if data is None:
        return "nothing"
    names = {bool: "true or false", int: "a number beyond all bounds", float: "a number that is not finite", str: "text", list: "a list", dict: "an object"}
    return names.get(type(data), type(data).__name__)


def deeper(data: Any, limit: int) -> bool:
    """Whether lists and objects lie in each other more than so many times."""
    level = [data]
    for _ in range(limit):
        level = [v for d in level if isinstance(d, dict | list) for v in (d.values() if isinstance(d, dict) else d)]
        if not level:
            return False
    return any(isinstance(d, dict | list) for d in level)
