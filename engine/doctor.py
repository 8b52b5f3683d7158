"""What is available on this machine and why not, as data and as lines for people."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import api, redaction, settings
from engine.devices import cuda_devices, local_devices
from engine.disk import MINIMUM_FREE_BYTES, existing, free_bytes
from engine.environments import ENVIRONMENTS
from engine.labelled import missing_sets
from engine.metrics import format_bytes

_PACKAGES = ("torch", "transformers", "bitsandbytes", "torchao", "accelerate", "streamlit", "sqlalchemy")


def examine() -> dict[str, Any]:
    """Disk, database, scheduler, devices, packages, models, data sets, techniques per device, data directory. Changes nothing."""
    devices = local_devices()
    data = settings.data_dir()
    existing = next(p for p in (data, *data.parents) if p.exists())
    return {
        "python": platform.python_version(),
        "data_dir": str(data),
        "free_bytes": shutil.disk_usage(existing).free,
        "database": _address(settings.database_url()),
        "checks": checks(data),
        "devices": [d.to_json() for d in devices],
        "left_out": cuda_devices()[1],
        "packages": {p: _version(p) for p in _PACKAGES},
        "environments": {
            e.name: {"installed": e.installed(), "folder": str(e.folder), "install_command": e.install_command} for e in ENVIRONMENTS.values()
        },
        "models": [{k: r[k] for k in ("name", "source", "available", "reason")} for r in api.models()],
        "techniques": api.availability(devices),
        "datasets": [{"name": n, "available": r is None, "reason": r} for n, r in missing_sets(settings.texts_dir()).items()],
        "text": "wikitext2-test" if (settings.texts_dir() / "wikitext2-test.txt").is_file() else "pydoc-topics (fallback)",
    }


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for. problem: why it is not there, and the way to get it; None where it is."""

    kind: str
    name: str
    problem: str | None
    detail: str = "available"


def findings(report: dict[str, Any]) -> list[Finding]:
    """Everything that was looked for, in the order in which people ask: what must work, devices, packages, environments, models, data, techniques."""
    found = [Finding(c["kind"], c["name"], c["problem"], c["detail"]) for c in report["checks"]]
    found += [Finding("device", d["id"], None, f"{d['name']}, {format_bytes(d['memory_bytes'])}") for d in report["devices"]]
    found += [Finding("device", *_named(reason)) for reason in report["left_out"]]
    found += [Finding("package", name, None if version else "is not installed", version or "") for name, version in report["packages"].items()]
    found += [
        Finding("environment", name, None if e["installed"] else f"not installed: {e['install_command']}", e["folder"])
        for name, e in report["environments"].items()
    ]
    found += [Finding("model", m["name"], m["reason"]) for m in report["models"]]
    found += [Finding("data set", d["name"], d["reason"]) for d in report["datasets"]]
    for device in report["devices"]:
        found += [Finding(f"technique on {device['id']}", name, reason) for name, reason in report["techniques"][device["id"]].items()]
    return found


def lines(report: dict[str, Any]) -> list[str]:
    """The report as text."""
    out = [f"Python {report['python']}, data in {report['data_dir']} ({format_bytes(report['free_bytes'])} free)"]
    out += [f"text      {report['text']}"]
    return out + [f"{f.kind:9} {f.name}: {f.problem or f.detail}" for f in findings(report)]


def checks(data: Path) -> list[dict[str, Any]]:
    """What the lab needs to go on working: {kind, name, problem or None, detail} of the disk, the database and the scheduler."""
    found = [disk_check(folder) for folder in dict.fromkeys((data, settings.runs_dir()))]
    try:
        from db.state import look  # not at the top: a machine that only measures has no SQLAlchemy
    except ImportError as error:
        return [*found, _check("database", _address(settings.database_url()), f"cannot be looked at here: {error}")]
    state = look(settings.database_url())
    found.append(_check("database", _address(settings.database_url()), state.problem and redaction.masked(state.problem), state.detail))
    machines = ", ".join(f"{s['machine']} (pid {s['pid']})" for s in state.schedulers)
    waiting = f"{state.queued:,} runs wait, {state.running:,} go on"
    problem = None if machines else f"none is alive, so nothing is run; {waiting}: make run, or python -m engine scheduler"
    if state.problem is None:
        found.append(_check("scheduler", machines or "none", problem, waiting))
    return found


def disk_check(folder: Path) -> dict[str, Any]:
    free = free_bytes(folder)
    problem = None
    if not os.access(existing(folder), os.W_OK):
        problem = "it cannot be written by this user"
    elif free < MINIMUM_FREE_BYTES:
        problem = f"{format_bytes(free)} are free, a run needs {format_bytes(MINIMUM_FREE_BYTES)}; make room: python -m engine clean"
    return _check("disk", str(folder), problem, f"{format_bytes(free)} free")


def _check(kind: str, name: str, problem: str | None, detail: str = "") -> dict[str, Any]:
    return {"kind": kind, "name": name, "problem": problem, "detail": detail}


def _address(url: str) -> str:
    """Without user and password."""
    return redaction.masked(url.partition("@")[2] or url)


def _named(reason: str) -> tuple[str, str]:
    """'cuda:0: left out, ...' -> its name and the rest."""
    name, _, problem = reason.partition(": ")
    return name, problem


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
