"""What there is here, and what can be used: models, techniques, workloads, and the machine itself."""

from __future__ import annotations

import json

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
def doctor(as_json: AsJson = False) -> None:
    """Say what is available here and why not: devices, models, techniques, data directory, database."""
    from engine.doctor import examine, lines

    report = examine()
    print(json.dumps(report) if as_json else "\n".join(lines(report)))
