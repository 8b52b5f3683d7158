"""Where things are, read from the environment at call time so that tests and children can move them.

| variable | meaning | default |
|---|---|---|
| LAB_DATA | data directory: database, models, texts, run folders | ./data beside the code |
| DATABASE_URL | any SQLAlchemy URL | sqlite:///<LAB_DATA>/lab.db |
| LAB_MODELS | root of local directory models | <LAB_DATA>/local_models |
| LAB_LOCKS | device locks, shared by all data directories of a user | <tmp>/llm-tradeoff-lab-<uid> |
| LAB_ENVIRONMENTS | folder of the layered environments `.venv-<name>` | beside the running interpreter's .venv |
| HOST, PORT | address of the page | 127.0.0.1, 8501 |
| LAB_ARTIFACTS | where traces of profiles lie for all machines: a folder or an fsspec URL (s3://..., sftp://...) | <LAB_DATA>/artifacts |
| LAB_MACHINE | name of this machine; set it where several have the same (containers of one image) | host name and digits of the machine id |
| RAY_ADDRESS | HOST:PORT of a Ray cluster whose nodes the scheduler serves instead of this machine | none |
| LAB_USER | who owns what is submitted from here | the name of the user who runs it |
| PUBLIC_BASE_URL | what links begin with | http://HOST:PORT; for HOST=0.0.0.0 this machine's address in its network |
| LAB_CACHE_LIMIT | how much exports and baselines' outputs may take of the disk; the oldest make room when a scheduler starts | 20GB |
| LAB_LOG_FORMAT | what the scheduler and `make run` say on stderr: text, or json for one JSON object a line, with the start and end of every run | text |
| LAB_AUTH_HEADER and others | who may do what on a server: engine/access.py | everybody who comes may do everything |
| LAB_READ_ONLY | 1: the pages show everything and change nothing; the command line and the scheduler go on writing | 0 |
"""

from __future__ import annotations

import getpass
import os
import socket
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


def _path(variable: str, default: Path) -> Path:
    value = os.environ.get(variable, "")
    return Path(value).expanduser().resolve() if value else default


def data_dir() -> Path:
    return _path("LAB_DATA", REPOSITORY / "data")


def database_url() -> str:
    return os.environ.get("DATABASE_URL") or f"sqlite:///{data_dir() / 'lab.db'}"


def bundled_models_dir() -> Path:
    return data_dir() / "models"


def local_models_dir() -> Path:
    return _path("LAB_MODELS", data_dir() / "local_models")


def texts_dir() -> Path:
    return data_dir() / "texts"


def artifacts() -> str:
    """Where all machines find artifacts: a folder or an fsspec URL."""
    return os.environ.get("LAB_ARTIFACTS") or str(artifacts_dir())


def artifacts_dir() -> Path:
    """Where the runs of this machine write them."""
    return data_dir() / "artifacts"


def ray_address() -> str | None:
    return os.environ.get("RAY_ADDRESS") or None


def runs_dir() -> Path:
    return data_dir() / "runs"


def locks_dir() -> Path:
    return _path("LAB_LOCKS", Path(tempfile.gettempdir()) / f"llm-tradeoff-lab-{os.getuid()}")


def environments_dir() -> Path:
    # an interpreter that is in no venv lies in a system folder, which is not ours to write to
    beside = Path(sys.prefix).parent if sys.prefix != sys.base_prefix else REPOSITORY
    return _path("LAB_ENVIRONMENTS", beside)


def host() -> str:
    return os.environ.get("HOST") or "127.0.0.1"


def port() -> int:
    value = os.environ.get("PORT") or "8501"
    if not value.isdigit() or not 1 <= int(value) <= 65535:
        raise ValueError(f"PORT: {value!r} is not a port; use a number from 1 to 65535")
    return int(value)


def user() -> str | None:
    """Who owns what this process submits; None where nothing tells."""
    try:
        name = os.environ.get("LAB_USER") or getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number that has no name
        return None
    return "".join(c for c in name if c.isprintable()).strip()[:120] or None


def cache_limit() -> int:
    """Bytes. Raises ValueError."""
    value = os.environ.get("LAB_CACHE_LIMIT", "").strip() or "20GB"
    number, unit = value[:-2].strip(), value[-2:].upper()
    if not number.isdigit() or unit not in _CACHE_UNITS:
        raise ValueError(f"LAB_CACHE_LIMIT: {value[:40]!r} is no size; write 20GB or 500MB")
    return int(number) * _CACHE_UNITS[unit]


_CACHE_UNITS = {"MB": 10**6, "GB": 10**9, "TB": 10**12}


def log_format() -> str:
    """text or json; what is neither is text: a log is no place for a refusal (launch refuses it before it begins)."""
    return "json" if os.environ.get("LAB_LOG_FORMAT", "").strip().lower() == "json" else "text"


def check_log_format() -> None:
    """Raises ValueError."""
    if (value := os.environ.get("LAB_LOG_FORMAT", "").strip().lower()) not in ("", "text", "json"):
        raise ValueError(f"LAB_LOG_FORMAT: {value!r} is not known; use text or json")


def read_only() -> bool:
    """Whether the pages may change nothing. Raises ValueError: what was meant to protect must not be misread."""
    value = os.environ.get("LAB_READ_ONLY", "").strip().lower()
    if value not in _YES | _NO:
        raise ValueError(f"LAB_READ_ONLY: {value!r} is neither yes nor no; use 1 or 0")
    return value in _YES


_YES, _NO = {"1", "true", "yes", "on"}, {"", "0", "false", "no", "off"}


def serves_everywhere() -> bool:
    """Whether the page is served on all networks under no known name; links then begin with a guess."""
    return host() in _EVERYWHERE and not os.environ.get("PUBLIC_BASE_URL")


def public_base_url() -> str:
    if url := os.environ.get("PUBLIC_BASE_URL"):
        return url.rstrip("/")
    name = _outbound_address(*_EVERYWHERE[host()]) if host() in _EVERYWHERE else host()
    return f"http://{f'[{name}]' if ':' in name else name}:{port()}"


_EVERYWHERE = {
    "0.0.0.0": (socket.AF_INET, "192.0.2.1", "127.0.0.1"),
    "::": (socket.AF_INET6, "2001:db8::1", "::1"),
}
"""HOST that means all networks: address family, an address that belongs to nobody (RFC 5737, RFC 3849), ours without a network."""


def _outbound_address(family: socket.AddressFamily, nobody: str, without_network: str) -> str:
    """The address that others in our network reach us at. Connecting a datagram socket only picks the route; nothing is sent."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((nobody, 9))
            return str(probe.getsockname()[0])
    except OSError:
        return without_network


def experiment_link(experiment_id: str) -> str:
    return f"{public_base_url()}/experiment?id={experiment_id}"
