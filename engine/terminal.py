"""What every command shares: the application that they register with, its two outputs, and how rows are printed.

What a program reads goes to stdout, everything else to stderr; exit 2 on bad input.
"""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Measure LLM optimizations.")
err = Console(stderr=True)

Profile = Annotated[bool, typer.Option("--profile", help="Also profile a few steps of each variant, in a run of its own.")]
Control = Annotated[bool, typer.Option("--control", help="Also measure the baseline a second time, as a check of the measurement.")]
StopEarly = Annotated[bool, typer.Option("--stop-early", help="Look after every 5 rounds, and end where every deciding speed has an answer.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout instead of a table.")]


def given(**options: Any) -> dict[str, Any]:
    """The options that take the place of what the file says."""
    return {name: value for name, value in options.items() if value is not None}


def print_rows(rows: list[dict[str, Any]], as_json: bool) -> None:
    """One row per dictionary; all of them have the keys of the first."""
    if as_json:
        print(json.dumps(rows))
        return
    columns = [c for c in rows[0] if c != "options"]
    table = Table(*columns)
    for row in rows:
        table.add_row(*(_cell(row[c]) for c in columns))
    print_table(table)


def print_table(table: Table) -> None:
    """On stdout; wide where it is not a terminal, so that a file holds whole lines."""
    Console(width=None if sys.stdout.isatty() else 200, markup=False).print(table)  # names of experiments are not markup


def _cell(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "", True: "yes", False: "no"}[value]
    return f"{value:,}" if isinstance(value, int) else str(value)


def database() -> Any:
    """The database of the settings, at the newest revision, for whoever runs the command: nothing is hidden from them."""
    from db.session import connect, migrate
    from db.visitor import Visitor, acting
    from engine import settings

    db = connect(settings.database_url())
    migrate(db)
    return acting(db, Visitor(settings.user(), sees_all=True))
