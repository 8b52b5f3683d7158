"""What is available on this machine and why not, as data and as lines for people."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
from typing import Any

from engine import api, settings
from engine.devices import cuda_devices, local_devices
from engine.environments import ENVIRONMENTS
from engine.labelled import missing_sets
from engine.metrics import format_bytes

_PACKAGES = ("torch", "transformers", "bitsandbytes", "torchao", "accelerate", "streamlit", "sqlalchemy")


def examine() -> dict[str, Any]:
    """Devices, packages, models, data sets, techniques per device, data directory. Changes nothing."""
    devices = local_devices()
    data = settings.data_dir()
    existing = next(p for p in (data, *data.parents) if p.exists())
    return {
        "python": platform.python_version(),
        "data_dir": str(data),
        "free_bytes": shutil.disk_usage(existing).free,
        "database": settings.database_url().partition("@")[2] or settings.database_url(),
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


def lines(report: dict[str, Any]) -> list[str]:
    """The report as text: what is there, then what is missing and the way to get it."""
    out = [f"Python {report['python']}, data in {report['data_dir']} ({format_bytes(report['free_bytes'])} free)"]
    out += [f"database  {report['database']}", f"text      {report['text']}"]
    out += [f"package   {name} {version or 'is not installed'}" for name, version in report["packages"].items()]
    out += [
        f"environment {name}: {e['folder'] if e['installed'] else 'not installed: ' + e['install_command']}"
        for name, e in report["environments"].items()
    ]
    out += [f"model     {m['name']}: {'available' if m['available'] else m['reason']}" for m in report["models"]]
    out += [f"data set  {d['name']}: {'available' if d['available'] else d['reason']}" for d in report["datasets"]]
    for device in report["devices"]:
        out.append(f"device    {device['id']}: {device['name']}, {format_bytes(device['memory_bytes'])}")
        for name, reason in report["techniques"][device["id"]].items():
            out.append(f"          {name}: {reason or 'available'}")
    out += [f"device    {reason}" for reason in report["left_out"]]
    return out


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
