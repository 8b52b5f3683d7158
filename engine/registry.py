"""Finds every technique and workload in a package by importing its modules. No list to edit, no decorator to forget."""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from engine.catalogue import closest
from engine.technique import Technique
from engine.workload import Workload

_Built = TypeVar("_Built")

_SHOWN, _PIECE = 10, 100
"""Of what is wrong: so many problems, so many characters of each name and value."""


@dataclass(frozen=True)
class Registry:
    techniques: Mapping[str, type[Technique]]
    workloads: Mapping[str, type[Workload]]

    def technique(self, name: str, options: Mapping[str, Any] | None = None) -> Technique:
        """An instance from its name and options. Raises ValueError naming the field and the fix."""
        return _build(self.techniques, "technique", name, options or {})

    def workload(self, name: str, options: Mapping[str, Any] | None = None) -> Workload:
        """An instance from its name and options. Raises ValueError naming the field and the fix."""
        return _build(self.workloads, "workload", name, options or {})


@functools.cache
def discover(package: str = "experiments") -> Registry:
    """Import every module below a package and collect the classes defined there.

    Raises ValueError where two classes carry one name; an import error of a module is not hidden.
    """
    root = importlib.import_module(package)
    techniques: dict[str, type[Technique]] = {}
    workloads: dict[str, type[Workload]] = {}
    for info in pkgutil.walk_packages(root.__path__, package + "."):
        module = importlib.import_module(info.name)
        for cls in vars(module).values():
            if not inspect.isclass(cls) or cls.__module__ != module.__name__ or "name" not in vars(cls):
                continue
            if issubclass(cls, Technique):
                _add(techniques, cls)
            elif issubclass(cls, Workload):
                _add(workloads, cls)
    return Registry(dict(sorted(techniques.items())), dict(sorted(workloads.items())))


def _add(table: dict[str, Any], cls: Any) -> None:
    if (other := table.get(cls.name)) is not None:
        raise ValueError(f"two classes are named {cls.name!r}: {inspect.getfile(other)} and {inspect.getfile(cls)}")
    table[cls.name] = cls


def _build(table: Mapping[str, type[_Built]], what: str, name: str, options: Mapping[str, Any]) -> _Built:
    if name not in table:
        raise ValueError(f"unknown {what} {name!r}{closest(name, table)}; known: {', '.join(table)}")
    try:
        return table[name](**options)
    except ValidationError as error:
        raise ValueError(f"{what} {name}: {readable(error)}") from None


def readable(error: ValidationError) -> str:
    """One line per problem: field, what is wrong, what was given."""
    lines = []
    problems = error.errors(include_url=False)
    for e in problems[:_SHOWN]:
        field = ".".join(str(p)[:_PIECE] for p in e["loc"])
        message = e["msg"].removeprefix("Value error, ")
        given = "" if e["type"] in ("missing", "value_error") else f" (given: {_short(repr(e['input']))})"
        lines.append((f"{field}: " if field else "") + _short(message, 600) + given)
    if len(problems) > _SHOWN:
        lines.append(f"and {len(problems) - _SHOWN} more problems")
    text = "; ".join(lines)  # it may be anything that somebody wrote, and goes to terminals
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _short(text: str, longest: int = _PIECE) -> str:
    return text if len(text) <= longest else f"{text[:longest]}…"
