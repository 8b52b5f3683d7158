"""Which commit of this code is running: part of where a number comes from. Knows git and nothing else of ours."""

from __future__ import annotations

import os
import subprocess

from engine.settings import REPOSITORY

_SECONDS = 10


def commit() -> str | None:
    """The 40-digit commit of the working tree, with '-dirty' behind it where a tracked file was changed; None where git cannot say."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    environment = os.environ | {"GIT_CEILING_DIRECTORIES": str(REPOSITORY.parent)}  # not the commit of what this folder was put into
    try:
        found = subprocess.run(command, check=False, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None if found.returncode == 0 else None
