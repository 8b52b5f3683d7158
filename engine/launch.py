"""What `make run` starts: makes the data directory ready, serves the pages, runs the scheduler, ends both.

Lives beside every measurement, so it imports little, and no torch; work that needs more is done by children. They end
with it, however it ends. Usage: python -m engine.launch
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from engine import access, logs, settings
from engine.child_process import die_with_parent

PAUSE_SECONDS = 0.2
STOP_SECONDS = 15.0  # the scheduler ends its runs and records why in 10 s
LONGEST_BACKOFF_SECONDS = 30.0

_received: list[int] = []


def main() -> int:
    """0 after Ctrl-C or a signal, 2 with one line on stderr where something is to be put right, else the pages' exit code."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: _received.append(number))
    try:
        host, port = settings.host(), settings.port()
        check_port(host, port)
        settings.read_only()
        settings.check_log_format()
        access.check()
        with _child(["engine.prepare"], signal.SIGTERM) as preparation:
            _wait_until_ended(preparation)
        if _received or preparation.returncode != 0:
            return 0 if _received else 2  # it has said why
        return _serve(host, port)
    except ValueError as error:
        _say(f"error: {error}")
        return 2


def check_port(host: str, port: int) -> None:
    """Raises ValueError where the pages could not be served there."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen()
    except socket.gaierror:
        raise ValueError(f"HOST: there is no address {host!r}; use 127.0.0.1, or 0.0.0.0 for all networks") from None
    except OSError as error:
        fix = f"stop what is there or choose another port: PORT={port % 65535 + 1} make run"
        raise ValueError(f"PORT: {port} on {host} cannot be used ({error.strerror}); {fix}") from None


def pages_command(host: str, port: int) -> tuple[str, ...]:
    """The module that serves the pages, and its arguments; everything else is in .streamlit/config.toml."""
    public = urlsplit(settings.public_base_url()).hostname or host
    # a foreign name that resolves to this machine must not reach the pages (DNS rebinding)
    names = {"*"} if settings.serves_everywhere() else {"localhost", "127.0.0.1", "::1", host, public}
    allowed = [word for name in sorted(names) for word in ("--server.allowedHosts", name)]
    return ("streamlit", "run", "dashboard/app.py", "--server.address", host, "--server.port", str(port), *allowed)


def _serve(host: str, port: int) -> int:
    if access.auth_header() is not None:
        os.environ["FORWARDED_ALLOW_IPS"] = ""  # the pages' server must know who connects, not whom X-Forwarded-For names
    with _child(pages_command(host, port), signal.SIGKILL) as pages:
        while not _received and pages.poll() is None and not is_up(host, port):
            time.sleep(PAUSE_SECONDS / 2)
        if not _received and pages.returncode is None:
            print(f"LLM Trade-off Lab: {settings.public_base_url()}", flush=True)
            if settings.serves_everywhere():
                _say("links begin with this machine's address; PUBLIC_BASE_URL=http://NAME:PORT sets a name that others know")
            _run_schedulers(pages)  # only now: its first run would slow the pages' start
        if _received:
            return 0
        _say(f"the pages ended with exit code {pages.returncode}")
        return pages.returncode if pages.returncode >= 0 else 128 - pages.returncode


def _run_schedulers(pages: subprocess.Popen[bytes]) -> None:
    """Run the scheduler, and another one when it ends, until we are to stop or the pages end."""
    backoff = 1.0
    while not _received and pages.poll() is None:
        started = time.monotonic()
        with _child(["engine", "scheduler"], signal.SIGTERM) as scheduler:
            _wait_until_ended(scheduler, pages)
        if _received or pages.poll() is not None:
            return
        ended = time.monotonic()
        backoff = 1.0 if ended - started > 60 else min(backoff * 2, LONGEST_BACKOFF_SECONDS)
        _say(f"the scheduler ended with exit code {scheduler.returncode}; starting it again in {backoff:.0f} s")
        _wait_until_ended(pages, end=ended + backoff)


def is_up(host: str, port: int) -> bool:
    """Whether the pages answer."""
    reached_by = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    with contextlib.closing(http.client.HTTPConnection(reached_by, port, timeout=2)) as connection:
        try:
            connection.request("GET", "/_stcore/health")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False


@contextlib.contextmanager
def _child(module: Sequence[str], at_our_death: signal.Signals) -> Iterator[subprocess.Popen[bytes]]:
    """A Python module in a session of its own, which Ctrl-C does not reach; ended when the block ends.

    at_our_death: what the kernel sends it if we end without leaving the block.
    """
    us = os.getpid()
    child = subprocess.Popen(
        [sys.executable, "-m", *module],
        cwd=settings.REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=2,  # stdout is for the address
        start_new_session=True,
        preexec_fn=lambda: die_with_parent(us, at_our_death),  # safe: we have one thread
    )
    try:
        yield child
    finally:
        if child.poll() is None:
            child.terminate()
            before, end = len(_received), time.monotonic() + STOP_SECONDS
            while child.poll() is None and time.monotonic() < end and len(_received) == before:  # Ctrl-C again: at once
                time.sleep(PAUSE_SECONDS / 4)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _wait_until_ended(*children: subprocess.Popen[bytes], end: float = float("inf")) -> None:
    """Until one of them ends, or we are to stop, or it is so late (time.monotonic)."""
    while not _received and all(child.poll() is None for child in children) and time.monotonic() < end:
        time.sleep(PAUSE_SECONDS)


def _say(text: str) -> None:
    """For people as it is; who collects JSON gets JSON from this process too."""
    if settings.log_format() == "json":
        logs.logger("launch").warning(text)
    else:
        print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
