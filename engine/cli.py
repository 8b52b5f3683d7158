"""The command line. What a program reads goes to stdout, everything else to stderr; exit 2 on bad input.

Imports database and torch-free parts only where a command needs them, so that `run --bundle` works without SQLAlchemy.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Measure LLM optimizations.")
err = Console(stderr=True)

Profile = Annotated[bool, typer.Option("--profile", help="Also profile a few steps of each variant, in a run of its own.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout instead of a table.")]


def main() -> None:
    """Entry point: a ValueError is the user's to fix, so it is one line on stderr and exit code 2."""
    try:
        app()
    except ValueError as error:
        err.print(f"error: {error}", style="red", markup=False, highlight=False)
        sys.exit(2)


@app.command()
def run(
    experiment: Annotated[str, typer.Argument(help="A preset name or a YAML file.")],
    rounds: Annotated[int | None, typer.Option(help="Rounds over all variants.")] = None,
    model: Annotated[str | None, typer.Option(help="Another model than the file says.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, or a named device.")] = None,
    bundle: Annotated[Path | None, typer.Option(help="Write the results to this file; no database is used.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with an unfinished bundle.")] = None,
    max_seconds: Annotated[float | None, typer.Option(help="Begin no new round after this time (with --bundle).")] = None,
    profile: Profile = False,
    as_json: AsJson = False,
) -> None:
    """Run an experiment in the foreground and print its verdicts. Exit code 1 where a run failed or is missing."""
    from engine.analysis import exit_code
    from engine.presets import load_spec

    overrides = _given(rounds=rounds, model=model, device=device, profile=profile or None)
    spec = load_spec(experiment, overrides)
    if (resume or max_seconds is not None) and bundle is None:
        raise ValueError("--resume and --max-seconds go with --bundle FILE")
    link, left = None, 0
    if bundle is not None:
        record = _run_to_bundle(spec, bundle, resume, max_seconds)
        left = _say_what_is_missing(record, spec, experiment, overrides, bundle)
    else:
        record, link = _run_in_database(spec)
    _print(record, link, as_json)
    raise typer.Exit(1 if left else exit_code(record))


def _given(**options: Any) -> dict[str, Any]:
    """The options that take the place of what the file says."""
    return {name: value for name, value in options.items() if value is not None}


def _run_to_bundle(spec: Any, bundle: Path, resume: Path | None, max_seconds: float | None) -> dict[str, Any]:
    from engine.bundle import load_bundle, save_bundle
    from engine.foreground import run_foreground

    earlier = load_bundle(resume) if resume else None
    with err.status("starting") as status:
        return run_foreground(
            spec, record=earlier, max_seconds=max_seconds, save=lambda r: save_bundle(r, bundle),
            progress=lambda done, total, text: status.update(f"run {done + 1} of {total}: {text}"),
        )  # fmt: skip


def _say_what_is_missing(record: dict[str, Any], spec: Any, experiment: str, overrides: dict[str, Any], bundle: Path) -> int:
    """How many runs are left; the command that makes them goes to stderr."""
    from engine.foreground import missing

    if number := len(missing(record, spec)):
        options = [word for name, value in overrides.items() for word in (f"--{name}", *([] if value is True else [str(value)]))]
        command = ["python", "-m", "engine", "run", experiment, *options, "--bundle", str(bundle), "--resume", str(bundle)]
        err.print(f"{number} runs are missing; go on with: {shlex.join(command)}", markup=False, highlight=False, soft_wrap=True)
    return number


def _run_in_database(spec: Any) -> tuple[dict[str, Any], str]:
    from db import queries
    from engine import settings
    from engine.follow import run_queued

    def announce(experiment: str) -> None:
        err.print(f"experiment {experiment}  {settings.experiment_link(experiment)}", highlight=False)

    db = _database()
    with err.status("queued") as status:
        experiment = run_queued(db, spec, announce, status.update)
    record = queries.record(db, experiment)
    if record is None:
        raise ValueError("the experiment was deleted while it ran")
    return record, settings.experiment_link(experiment)


def _print(record: dict[str, Any], link: str | None, as_json: bool) -> None:
    from engine.analysis import document, summary

    if as_json:
        print(json.dumps(document(record, link), allow_nan=False))
    else:
        _print_verdicts(summary(record))
        _print_flips(record)
        if link:
            print(link)


def _print_verdicts(frame: Any) -> None:
    from engine.metrics import METRICS

    table = Table("variant", "metric", "point", "value", "ratio", "95 % interval", "verdict")
    for row in frame.to_dict("records"):
        has_ratio = row["ratio"] == row["ratio"] and row["ratio"] is not None
        has_interval = row["ci_low"] == row["ci_low"] and row["ci_low"] is not None
        value = row["value"] if row["value"] == row["value"] else None
        table.add_row(
            row["variant"], row["label"], row["point_label"], METRICS[row["metric"]].format(value),
            f"{row['ratio']:.3f}" if has_ratio else "", f"{row['ci_low']:.3f} to {row['ci_high']:.3f}" if has_interval else "",
            str(row["verdict"] or "") + (f" ({row['reason']})" if row["reason"] else ""),
        )  # fmt: skip
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def _print_flips(record: dict[str, Any]) -> None:
    from engine.flips import flips

    table = Table("variant", "metric", "examples", "right in both", "baseline alone", "variant alone", "McNemar's p")
    for f in flips(record):
        table.add_row(f.variant, f.metric, *map(str, (f.examples, f.both, f.only_baseline, f.only_variant)), f"{f.p:.2g}")
    if table.row_count:
        Console(width=None if sys.stdout.isatty() else 200).print(table)


@app.command()
def submit(
    experiment: str, rounds: int | None = None, model: str | None = None, device: str | None = None, profile: Profile = False,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Queue an experiment for a running scheduler and print its link."""
    from engine import api, settings
    from engine.presets import load_spec

    spec = load_spec(experiment, _given(rounds=rounds, model=model, device=device, profile=profile or None))
    experiment_id = api.submit(_database(), spec)
    link = settings.experiment_link(experiment_id)
    print(json.dumps({"id": experiment_id, "title": spec.title, "link": link}) if as_json else link)


@app.command()
def scheduler(as_json: AsJson = False) -> None:
    """Run queued experiments on this machine's devices until stopped."""
    from engine.scheduler import serve

    serve(_database())
    if as_json:
        print(json.dumps({"stopped": True}))


@app.command()
def cancel(experiment: str, as_json: AsJson = False) -> None:
    """Cancel an experiment: queued runs at once, the running one within seconds."""
    from db import queries, queue

    db = _database()
    if queries.record(db, experiment, samples="none") is None:
        raise ValueError(f"experiment: there is no {experiment!r}; it may have been deleted")
    count = queue.cancel_experiment(db, experiment)
    print(json.dumps({"id": experiment, "cancelled_runs": count}) if as_json else f"{count} runs cancelled")


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
    record = queries.record(_database(), experiment, samples="quality" if chosen in ("csv", "json") else "all")
    if record is None:
        raise ValueError(f"experiment: there is no {experiment!r}; it may have been deleted")
    sys.stdout.write(writers[chosen](record))


@app.command(name="import")
def import_bundle(bundle: Path, source: str = "imported", as_json: AsJson = False) -> None:
    """Put a bundle into the database, under the id that it carries."""
    from db import records
    from engine import settings
    from engine.bundle import load_bundle

    record = load_bundle(bundle)  # first: a file that is refused makes no database
    experiment_id = records.import_record(_database(), record, source)
    link = settings.experiment_link(experiment_id)
    print(json.dumps({"id": experiment_id, "link": link}) if as_json else link)


@app.command()
def models(as_json: AsJson = False) -> None:
    """List the models that can be named."""
    from engine import api

    rows = [{k: r[k] for k in ("name", "source", "parameters", "available", "reason")} for r in api.models()]
    _print_rows(rows, as_json)


@app.command()
def techniques(as_json: AsJson = False) -> None:
    """List the techniques, and why some cannot run here."""
    from engine import api

    _print_rows([{k: r[k] for k in _CARD} for r in api.techniques()], as_json)


@app.command()
def workloads(as_json: AsJson = False) -> None:
    """List the workloads and their options."""
    from engine import api

    _print_rows([{k: r[k] for k in _CARD} for r in api.workloads()], as_json)


_CARD = ("name", "label", "family", "slot", "available", "reason", "options")


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Say what is available here and why not: devices, models, techniques, data directory, database."""
    from engine.doctor import examine, lines

    report = examine()
    print(json.dumps(report) if as_json else "\n".join(lines(report)))


def _print_rows(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print(json.dumps(rows))
        return
    columns = [c for c in rows[0] if c != "options"]
    table = Table(*columns)
    for row in rows:
        table.add_row(*(_cell(row[c]) for c in columns))
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def _cell(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "", True: "yes", False: "no"}[value]
    return f"{value:,}" if isinstance(value, int) else str(value)


def _database() -> Any:
    from db.session import connect, migrate
    from engine import settings

    db = connect(settings.database_url())
    migrate(db)
    return db
