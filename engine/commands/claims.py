"""What the chapter claims and what was measured: `claims`."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from engine.terminal import AsJson, app, database, err, print_table

if TYPE_CHECKING:
    from engine.answers.claim_verdicts import Assessment
    from engine.record import Record


@app.command()
def claims(
    reference: Annotated[bool, typer.Option("--reference", help="Only the results that come with the project; needs no database.")] = False,
    as_json: AsJson = False,
) -> None:
    """Hold every claim of the chapter against what was measured, here and by the project."""
    from engine import references, settings
    from engine.answers.claim_verdicts import Evidence, assess, evidence
    from engine.answers.claim_words import document
    from engine.answers.claims import claims as known

    shipped, problems = references.load_references()
    records = [(r, False) for r in shipped] + ([] if reference else [(r, True) for r in _own()])
    gathered = {c.id: Evidence() for c in known()}
    for record, own in records:
        try:
            found = [(c.id, evidence(c, record, own=own)) for c in known()]
        except ValueError as error:  # what another version wrote
            problems.append(f"{record['experiment']['id']}: {error}")
            continue
        for name, one in found:
            gathered[name].extend(one)
    for problem in problems:
        err.print(f"left out: {problem}", markup=False, highlight=False)
    assessed = [assess(c, gathered[c.id]) for c in known()]
    if as_json:
        print(json.dumps(document(assessed, settings.experiment_link), allow_nan=False))
    else:
        _print(assessed)


def _own() -> list[Record]:
    """All experiments of the database but those that came with the project, which are read from their files."""
    from db import listing, queries
    from db.filter import Filter

    db = database()
    listed = (row for frame in listing.all_experiments(db, Filter(source=("local", "imported"))) for row in frame["id"])
    return [r for r in (queries.record(db, i) for i in listed) if r is not None]


def _print(assessed: list[Assessment]) -> None:
    from engine.answers.claim_words import claimed_text, measured_text

    table = Table("claim", "claimed", "hardware", "measured", "verdict", "why")
    for a in assessed:
        head = [f"{a.claim.id}\n{a.claim.statement}", claimed_text(a.claim)]
        places = a.by_hardware()
        if not places:
            table.add_row(*head, "", "", a.verdict, a.reason)
        for number, (own, hardware, verdict, measured) in enumerate(places):
            place = [f"{hardware} (here)" if own else hardware, measured_text(a.claim, measured), verdict]
            table.add_row(*(["", ""] if number else head), *place, "" if number else a.reason)
    print_table(table)
    print(", ".join(f"{count} {word}" for word, count in Counter(a.verdict for a in assessed).most_common()))
