"""Real runs in a process that is first changed by a statement, to make a fault real: forks of one template for all that a test process
starts, so that only the first of them waits for torch to be imported.

The template is the product's own, started by an "interpreter" that has the statement run before the worker's main.
"""

from __future__ import annotations

import functools
import resource
import shutil
import sys
import tempfile
from atexit import register
from pathlib import Path
from typing import Any

from engine.executor import Handle, LocalExecutor


class ChangedExecutor(LocalExecutor):
    """Real workers that run a statement first; `resource` is there by that name."""

    def __init__(self, statement: str) -> None:
        super().__init__((str(_interpreter()), "-m", "engine.worker"))
        self._statement = statement

    def start(self, spec: Any, run_dir: Path, **rest: Any) -> Handle:
        run_dir.parent.mkdir(parents=True, exist_ok=True)
        _statement_of(run_dir).write_text(self._statement)
        return super().start(spec, run_dir, **rest)


def _statement_of(run_dir: Path) -> Path:
    """Beside the folder, which the executor makes anew."""
    return run_dir.with_name(f"{run_dir.name}.before.py")


@functools.cache
def _interpreter() -> Path:
    """A program in place of Python: of its arguments, `-m engine.template DESCRIPTOR`, the last one counts."""
    folder = Path(tempfile.mkdtemp(prefix="changed-worker-"))
    register(shutil.rmtree, folder, ignore_errors=True)
    program = folder / "python"
    program.write_text(f"#!/bin/sh\nexec '{sys.executable}' '{__file__}' \"$@\"\n")
    program.chmod(0o755)
    return program


def _serve(descriptor: int) -> None:
    from engine import template, worker

    real = worker.main

    def changed(run_dir: Path) -> None:
        exec(_statement_of(run_dir).read_text(), {"resource": resource})
        real(run_dir)

    worker.main = changed
    template.main(descriptor)


if __name__ == "__main__":
    _serve(int(sys.argv[-1]))
