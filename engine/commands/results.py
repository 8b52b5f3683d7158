"""Results leave and enter the database: `export` and `import`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from engine.terminal import AsJson, app, database


@app.command()
def export(
    experiment: str,
    format: Annotated[str, typer.Option(help="csv, json, samples or bundle.")] = "csv",
    as_json: AsJson = False,
) -> None:
    """Print an experiment: one row per variant x metric x point (csv, json), every sample (samples), or the bundle."""
    from db import queries
    from engine import export as exports
    from engine import settings

    link = settings.experiment_link(experiment)
    writers: dict[str, Callable[[dict[str, Any]], str]] = {
        "csv": lambda r: exports.summary_csv(r, link), "json": lambda r: exports.summary_json(r, link), "samples": exports.samples_csv,
        "bundle": lambda r: json.dumps(r, allow_nan=False, indent=1),
    }  # fmt: skip
    chosen = "json" if as_json else format
    if chosen not in writers:
        raise ValueError(f"--format: {format!r} is not one of {', '.join(writers)}")
    record = queries.record(database(), experiment, samples="quality" if chosen in ("csv", "json") else "all")
    if record is None:
        raise ValueError(f"experiment: there is no {experiment!r}; it may have been deleted")
    sys.stdout.write(writers[chosen](record))


@app.command(name="import")
def import_file(file: Path, source: str = "imported", as_json: AsJson = False) -> None:
    """Put a bundle into the database under the id that it carries, or a result file of optimum-benchmark, lm-eval, GuideLLM or AIPerf."""
    from db import records
    from engine import settings
    from engine.bundle import load_bundle
    from engine.imports import tools

    content = tools.foreign(file)
    if content is None:
        record = load_bundle(file)  # first: a file that is refused makes no database
        experiment_id, new = records.import_record(database(), record, source), True
    else:
        tools.read_file(file.name, content)  # likewise
        experiment_id, new = tools.store(database(), file.name, content)
    link = settings.experiment_link(experiment_id)
    if not new and not as_json:
        print(f"{file.name} was imported before", file=sys.stderr)
    print(json.dumps({"id": experiment_id, "link": link, "new": new}) if as_json else link)
