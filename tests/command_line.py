"""The command line for tests: as a program of its own, or in this process, where what it imports is imported once for all tests.

In this process its runs are forked from this process's templates too, so that only the first one waits for torch. Each file that uses
it has tests of the program itself beside it.
"""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from unittest.mock import patch

from sqlalchemy import Engine

from db import session
from engine.cli import main
from engine.devices import local_devices
from engine.settings import REPOSITORY

Done = subprocess.CompletedProcess[str]


def program(*arguments: str) -> Done:
    """`python -m engine …`, a process of its own."""
    return subprocess.run([sys.executable, "-m", "engine", *arguments], cwd=REPOSITORY, capture_output=True, text=True, timeout=250)


def engine(*arguments: str) -> Done:
    """The same from its entry point on, in this process. What is no exit is raised, as the program would print a traceback."""
    opened: list[Engine] = []
    connect = session.connect

    def connected(url: str) -> Engine:
        opened.append(connect(url))
        return opened[-1]

    code: int | str | None = 0
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="\n", write_through=True) for _ in range(2))  # some write bytes
    with (
        contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), contextlib.chdir(REPOSITORY),
        patch.object(sys, "argv", ["engine", *arguments]), patch.object(session, "connect", connected),
    ):  # fmt: skip
        local_devices.cache_clear()  # a test may have changed which GPUs can be seen
        try:
            main()
        except SystemExit as end:
            code = end.code
        finally:
            local_devices.cache_clear()
            for db in opened:
                db.dispose()
    said = [stream.buffer.getvalue().decode().replace("\r\n", "\n") for stream in (out, err)]  # as text=True has it
    return subprocess.CompletedProcess(["engine", *arguments], code if isinstance(code, int) else int(code is not None), *said)
