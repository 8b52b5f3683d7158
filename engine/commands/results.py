"""Results leave and enter the database: `export` and `import`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from engine.terminal import AsJson, app, database


@app.command()
def export(
    experiment: str,
    format: Annotated[str, typer.Option(help="csv, json, parquet, variants, samples or bundle.")] = "csv",
    as_json: AsJson = False,
) -> None:
    """Print an experiment: a row per variant x metric x point (csv, json, parquet), per variant (variants), per sample (samples), or the bundle."""
    from db import queries
    from engine import settings
    from engine.export.files import FORMATS, Source, content

    chosen = "json" if as_json else format
    if chosen not in FORMATS:
        raise ValueError(f"--format: {format!r} is not one of {', '.join(FORMATS)}")
    record = queries.record(database(), experiment, samples=FORMATS[chosen].samples)
    if record is None:
        raise ValueError(f"experiment: there is no {experiment!r}; it may have been deleted")
    sys.stdout.buffer.write(content(chosen, Source(record, settings.experiment_link(experiment))))
    sys.stdout.buffer.flush()


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
