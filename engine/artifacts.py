"""What runs leave beside their numbers, Chrome traces so far, at a place that all machines reach: LAB_ARTIFACTS.

A run writes into the folder of its own machine, which needs no network while it measures; afterwards its scheduler copies that to
the common place. By default both are the same folder. Nothing here ends a run or a page: what is not there is absent.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from engine import logs, settings
from engine.profiles import trace_name

_log = logs.logger("artifacts")


def local_trace(details: Mapping[str, Any]) -> bytes | None:
    """The compressed trace of a run that was made on this machine, from the details of its result."""
    if (name := _trace_of(details)) is None:
        return None
    with contextlib.suppress(OSError):
        return (settings.artifacts_dir() / name).read_bytes()
    return None


def publish_soon(details: Mapping[str, Any], trace: bytes | None = None) -> None:
    """The same beside what goes on: a place that does not answer must not hold up who looks after other runs."""
    threading.Thread(target=publish, args=(details, trace), name="artifacts", daemon=True).start()


def publish(details: Mapping[str, Any], trace: bytes | None = None) -> None:
    """Copy what a run has left to the common place. trace: from another machine; this machine's where not given."""
    name = _trace_of(details)
    if name is None or (trace is None and settings.artifacts() == str(settings.artifacts_dir())):
        return
    if (trace := trace or local_trace(details)) is None:
        return
    try:
        system, path = _at(name)
        system.makedirs(path.rpartition("/")[0], exist_ok=True)
        system.pipe_file(path, trace)
    except Exception as error:  # fsspec's many backends raise anything; the run's numbers must not be lost with it
        _log.warning(f"{name} could not be written to {place()}: {type(error).__name__}: {error}")


def there(name: str) -> bool:
    """Whether something lies at the common place under this name. Raises OSError where the place cannot be reached."""
    with _as_os_error():
        system, path = _at(name)
        return bool(system.isfile(path))


def read(name: str) -> bytes:
    """Raises OSError where it is not there, or the place cannot be reached."""
    with _as_os_error():
        system, path = _at(name)
        return bytes(system.cat_file(path))


def place() -> str:
    """The common place as it may be shown: without what a URL carries to sign in with."""
    scheme, mark, rest = settings.artifacts().partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if mark else scheme


def _at(name: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs  # not at the top: scheduler and pages rarely need it

    system, root = url_to_fs(settings.artifacts())
    return system, f"{root.rstrip('/')}/{name}"


@contextlib.contextmanager
def _as_os_error() -> Iterator[None]:
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{place()} cannot be read: {type(error).__name__}: {error}") from None


def _trace_of(details: Mapping[str, Any]) -> str | None:
    profile = details.get("profile")
    trace = profile.get("trace") if isinstance(profile, Mapping) else None
    sha256 = trace.get("sha256") if isinstance(trace, Mapping) else None
    if not isinstance(sha256, str) or not re.fullmatch("[0-9a-f]{64}", sha256):
        return None
    return trace_name(sha256)
