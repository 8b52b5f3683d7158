"""`run`: an experiment in the foreground, into the database or into a bundle, and its verdicts as a table.

Imports database parts only where they are needed, so that `run --bundle` works without SQLAlchemy.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from engine.terminal import AsJson, Control, Profile, StopEarly, app, database, err, given, print_table


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
    control: Control = False,
    stop_early: StopEarly = False,
    as_json: AsJson = False,
) -> None:
    """Run an experiment in the foreground and print its verdicts. Exit code 1 where a run failed or is missing."""
    from engine.analysis import exit_code
    from engine.looks import answered
    from engine.presets import load_spec

    overrides = given(rounds=rounds, model=model, device=device, profile=profile or None, control=control or None, stop_early=stop_early or None)
    spec = load_spec(experiment, overrides)
    if (resume or max_seconds is not None) and bundle is None:
        raise ValueError("--resume and --max-seconds go with --bundle FILE")
    link, left = None, 0
    if bundle is not None:
        record = _run_to_bundle(spec, bundle, resume, max_seconds)
        left = _say_what_is_missing(record, spec, experiment, overrides, bundle)
    else:
        record, link = _run_in_database(spec)
    if (done := answered(record)) is not None:
        err.print(f"ended after round {done} of {spec.rounds}: every speed that decides has its answer", highlight=False)
    _print(record, link, as_json)
    raise typer.Exit(1 if left else exit_code(record))


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
        options = [word for name, value in overrides.items() for word in (f"--{name.replace('_', '-')}", *([] if value is True else [str(value)]))]
        command = ["python", "-m", "engine", "run", experiment, *options, "--bundle", str(bundle), "--resume", str(bundle)]
        err.print(f"{number} runs are missing; go on with: {shlex.join(command)}", markup=False, highlight=False, soft_wrap=True)
    return number


def _run_in_database(spec: Any) -> tuple[dict[str, Any], str]:
    from db import queries
    from engine import settings
    from engine.follow import run_queued

    def announce(experiment: str) -> None:
        err.print(f"experiment {experiment}  {settings.experiment_link(experiment)}", highlight=False)

    db = database()
    with err.status("queued") as status:
        experiment = run_queued(db, spec, announce, status.update)
    record = queries.record(db, experiment)
    if record is None:
        raise ValueError("the experiment was deleted while it ran")
    return record, settings.experiment_link(experiment)


def _print(record: dict[str, Any], link: str | None, as_json: bool) -> None:
    from engine.analysis import summary
    from engine.answers.document import document

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
    print_table(table)


def _print_flips(record: dict[str, Any]) -> None:
    from engine.flips import flips

    table = Table("variant", "metric", "examples", "right in both", "baseline alone", "variant alone", "McNemar's p")
    for f in flips(record):
        table.add_row(f.variant, f.metric, *map(str, (f.examples, f.both, f.only_baseline, f.only_variant)), f"{f.p:.2g}")
    if table.row_count:
        print_table(table)
