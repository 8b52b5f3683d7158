"""What results say when they are asked: `advise` for the variants that meet constraints, `check` for red flags of one experiment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from engine.terminal import AsJson, app, database, err, print_table

_NEWEST = 500


@app.command()
def advise(
    objective: Annotated[str, typer.Option(help="decode, ttft, training, examples, memory or quality.")] = "decode",
    max_memory: Annotated[str | None, typer.Option(help="Memory budget with its unit: 24GB, 24GiB.")] = None,
    memory: Annotated[str, typer.Option(help="The memory metric of the budget and of the objective memory.")] = "peak_memory_bytes",
    max_quality_loss: Annotated[str | None, typer.Option(help="Perplexity or accuracy against the baseline: 1%.")] = None,
    min_speed: Annotated[float | None, typer.Option(help="Least throughput, in the workload's unit (tok/s, ex/s).")] = None,
    batch: Annotated[int | None, typer.Option(help="Only points at this batch size.")] = None,
    point: Annotated[str | None, typer.Option(help="Only points with these values: batch=8,new_tokens=24.")] = None,
    model: Annotated[str | None, typer.Option(help="A model by the name that experiments give it.")] = None,
    device: Annotated[str | None, typer.Option(help="A part of the device's name: H100.")] = None,
    real_models: Annotated[bool, typer.Option("--real-models", help="Leave out shapes, whose weights are random.")] = False,
    reference: Annotated[bool, typer.Option("--reference", help="Ask the project's own reference results alone, without a database.")] = False,
    bundle: Annotated[list[Path] | None, typer.Option(help="Ask these bundles alone, without a database.")] = None,
    as_json: AsJson = False,
) -> None:
    """Rank the measured variants that meet the constraints; say which fail one, and which were not measured."""
    from engine.answers.advice import question_text
    from engine.answers.advisor import advise as answer
    from engine.answers.question import Question, bytes_of, fraction_of, point_of

    pairs = (*(point_of(point) if point is not None else ()), *((("batch", str(batch)),) if batch is not None else ()))
    question = Question(
        objective=objective, memory=memory, max_memory_bytes=bytes_of(max_memory) if max_memory is not None else None,
        max_quality_loss=fraction_of(max_quality_loss) if max_quality_loss is not None else None, min_speed=min_speed, point=pairs,
        model=model, device=device, real_models=real_models,
    )  # fmt: skip
    measured = _measured(reference, bundle or [])
    if not measured:
        raise ValueError("there is no experiment in the database; run one, or ask the project's own results with --reference")
    advice = answer(question, measured)
    if as_json:
        print(json.dumps(advice.document(), allow_nan=False))
        return
    print(f"{question_text(question)}:")
    for group in advice.groups:
        _print_group(group)
    for note in advice.notes:
        print(note)
    if not advice.groups:
        print("No experiment measured what is asked for.")


@app.command()
def check(experiment: Annotated[str, typer.Argument(help="An experiment's id, or a bundle (a file ending in .json).")], as_json: AsJson = False) -> None:
    """Check an experiment for the chapter's red flags: what its record shows, why it matters, what to try."""
    from engine.answers.red_flags import red_flags

    record = _record(experiment)
    flags = red_flags(record)
    if as_json:
        about = {k: record["experiment"][k] for k in ("id", "title")}
        print(json.dumps({"experiment": about, "flags": [asdict(f) for f in flags]}, allow_nan=False))
        return
    table = Table("severity", "flag", "what the record shows", "why it matters", "what to try")
    for flag in flags:
        table.add_row(flag.severity, flag.name, flag.evidence, flag.why, flag.remedy + (f" ({flag.technique})" if flag.technique else ""))
    print_table(table) if flags else print("No red flags.")


def _measured(reference: bool, bundles: list[Path]) -> list[Any]:
    """Of each record what the advisor needs. One that this version cannot read is left out, and stderr says so."""
    from engine.answers.advisor import read

    found = []
    for record in _bundles(reference, bundles) if reference or bundles else _stored():
        try:
            found.append(read(record))
        except ValueError as error:
            err.print(f"left out: {record['experiment']['title']}: {error}", markup=False, highlight=False, soft_wrap=True)
    return found


def _bundles(reference: bool, bundles: list[Path]) -> Iterator[dict[str, Any]]:
    from engine.bundle import load_bundle
    from engine.settings import REPOSITORY

    own = sorted((REPOSITORY / "experiments" / "reference").glob("*.json")) if reference else []
    yield from map(load_bundle, [*own, *bundles])


def _stored() -> Iterator[dict[str, Any]]:
    from db import listing, queries
    from db.filter import Filter

    db = database()
    for experiment in listing.experiments(db, Filter(size=_NEWEST))["id"]:
        if (record := queries.record(db, experiment)) is not None:
            yield record


def _record(experiment: str) -> dict[str, Any]:
    from engine.bundle import load_bundle

    if experiment.endswith(".json"):
        return load_bundle(Path(experiment))
    from db import queries

    record = queries.record(database(), experiment)
    if record is None:
        raise ValueError(f"experiment: there is no {experiment!r}; give an id, or a bundle that ends in .json")
    return record


def _print_group(group: Any) -> None:
    from engine.answers.advice import RELATION, row_text

    print(f"\n{group.sentence()}")
    if group.ranked:
        table = Table("rank", "variant", "measured", "against the first", "rounds", "experiment")
        for place in group.ranked:
            c = place.candidate
            measured = "; ".join(row_text(name, row, group.baseline) for name, row in c.shown.items())
            table.add_row(str(place.rank), c.variant, measured, RELATION[place.relation], str(c.objective.n_rounds), c.experiment)
        print_table(table)
    for outcome, candidates in (("failed", group.failed), ("not measured", group.not_measured)):
        for c in candidates:
            print(f"  {outcome}: {c.variant}: {'; '.join(check.text for check in c.failures(outcome))}")
