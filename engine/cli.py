"""The command line: all commands of engine/commands, and what becomes of a user's mistake."""

from __future__ import annotations

import sys

from engine import redaction
from engine.commands import advise, audit, backup, catalogue, claims, cluster, plan, queue, results, run
from engine.terminal import app, err

COMMANDS = (advise, audit, backup, catalogue, claims, cluster, plan, queue, results, run)
"""Loading a module registers its commands."""


def main() -> None:
    """Entry point: a ValueError is the user's to fix, so it is one line on stderr and exit code 2."""
    try:
        app()
    except ValueError as error:
        err.print(f"error: {redaction.masked(str(error))}", style="red", markup=False, highlight=False)
        sys.exit(2)
