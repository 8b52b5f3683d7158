"""The trail of what people did, for whoever has the machine."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from engine.terminal import AsJson, app, database, print_rows


@app.command()
def audit(limit: Annotated[int, typer.Option(min=1, help="So many, the newest.")] = 50, as_json: AsJson = False) -> None:
    """Who started, cancelled, changed, shared, imported or deleted what, and when; newest first."""
    from db.audit import acts

    rows, _ = acts(database(), limit)
    if rows:
        print_rows(rows, as_json)
    else:
        print(json.dumps([]) if as_json else "nothing has been done yet")
