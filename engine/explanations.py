"""The explanation of a technique or workload: a Markdown file beside its module, found by its name. One without such a file has none."""

from __future__ import annotations

import inspect
from pathlib import Path

from engine.technique import Technique
from engine.workload import Workload


def explanation(of: type[Technique] | type[Workload]) -> str | None:
    """The text of NAME.md in the folder of the module that defines the class. Markdown with formulas between $ and $$."""
    path = Path(inspect.getfile(of)).with_name(f"{of.name}.md")
    return path.read_text(encoding="utf-8") if path.is_file() else None
