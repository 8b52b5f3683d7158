"""What there is here, and what can be used: models, techniques, workloads, and the machine itself."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from engine.terminal import AsJson, app, print_rows


@app.command()
def models(as_json: AsJson = False) -> None:
    """List the models that can be named."""
    from engine import api

    rows = [{k: r[k] for k in ("name", "source", "parameters", "available", "reason")} for r in api.models()]
    print_rows(rows, as_json)


@app.command()
def techniques(as_json: AsJson = False) -> None:
    """List the techniques, and why some cannot run here."""
    from engine import api

    print_rows([{k: r[k] for k in _CARD} for r in api.techniques()], as_json)


@app.command()
def workloads(as_json: AsJson = False) -> None:
    """List the workloads and their options."""
    from engine import api

    print_rows([{k: r[k] for k in _CARD} for r in api.workloads()], as_json)


_CARD = ("name", "label", "family", "slot", "available", "reason", "options")


@app.command()
def clean(
    what: Annotated[list[str] | None, typer.Argument(help="exports, hub, wheels, runs; without: only say how large each is.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say what takes disk and can be fetched or made again, and remove what is named. Results, backups and profiles' traces stay."""
    from engine import caches
    from engine.metrics import format_bytes

    known = {cache.name: cache for cache in caches.caches()}
    if unknown := [name for name in what or () if name not in known]:
        raise ValueError(f"clean: {unknown[0]!r} is none; choose from {', '.join(known)}")
    freed = {name: caches.clear(name) for name in dict.fromkeys(what or ())}
    rows: list[dict[str, Any]] = [
        {"name": c.name, "entries": len(c.entries), "bytes": c.size_bytes, "freed_bytes": freed.get(c.name, 0), "folder": str(c.folder), "again": c.again}
        for c in known.values()
    ]  # fmt: skip
    if as_json:
        print(json.dumps(rows))
        return
    for row in rows:
        done = f"; {format_bytes(row['freed_bytes'])} freed" if row["name"] in freed else ""
        print(f"{row['name']:8} {format_bytes(row['bytes']):>10} in {row['entries']:,} ({row['folder']}): {row['again']}{done}")


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Say what is available here and why not: devices, models, techniques, data directory, database."""
    from engine.doctor import examine, lines

    report = examine()
    print(json.dumps(report) if as_json else "\n".join(lines(report)))
