"""YAML that somebody wrote, as plain data: within limits, without names for parts, without anything said twice.

A few lines of YAML can stand for gigabytes, build objects, or say a thing twice and mean the last; none of it is read here.
"""

from __future__ import annotations

from typing import Any

import yaml

MAX_BYTES = 256_000
MAX_DEPTH = 30


def read(content: bytes, name: str) -> Any:
    """Raises ValueError that begins with the name and says what is wrong where."""
    if len(content) > MAX_BYTES:
        raise ValueError(f"{name}: it has more than {MAX_BYTES // 1000} kB, which are read at most")
    try:
        return yaml.load(content.decode(), _Loader)
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # ValueError: a date that is none, bytes that are no text
        raise ValueError(f"{name} is not YAML: {_plain(str(error))}") from None


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.composer.ComposerError(None, None, f"*{event.anchor} stands for another part; write that part out", event.start_mark)
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise yaml.composer.ComposerError(None, None, f"it is nested more than {MAX_DEPTH} deep", self.peek_event().start_mark)
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"{key.value[:80]!r} is there twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _plain(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:600]
