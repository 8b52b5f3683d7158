"""Stores a record that was measured elsewhere: a bundle from a GPU machine, or the project's reference results."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, delete, insert
from sqlalchemy.exc import DBAPIError, StatementError

from db import queries
from db.queue import insert_variants
from db.results import insert_environment, insert_measurements
from db.tables import Experiment, Run

_ENDED = frozenset(queries.STATUSES) - {"queued", "running"}


def import_record(db: Engine, record: dict[str, Any], source: str) -> str:
    """Store a record under its own id and return that; runs that had not ended are left out.

    The same record again changes nothing. A reference result takes the place of a stored reference result of that id, and of
    nothing else. Raises ValueError where another one has the id, or what is in it cannot be read.
    """
    try:
        experiment_id = str(record["experiment"]["id"])
        there = queries.record(db, experiment_id, samples="all")
        if there is not None and _content(there) == _content(record):
            return experiment_id
        outdated = there is not None and there["experiment"]["source"] == source == "reference"
        if there is None or outdated:
            with db.begin() as connection:
                if outdated:
                    connection.execute(delete(Experiment).where(Experiment.id == experiment_id))
                _insert(connection, record, source)
            return experiment_id
    except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
        raise ValueError(f"bundle: it is incomplete or was changed: {type(error).__name__}: {error}") from None
    except (DBAPIError, StatementError) as error:
        raise ValueError(f"bundle: it cannot be stored: {' '.join(str(error.orig).split())}") from None
    raise ValueError(f"bundle: an experiment {experiment_id} with other content is there already; delete it first")


def _insert(connection: Connection, record: dict[str, Any], source: str) -> None:
    experiment = record["experiment"]
    connection.execute(insert(Experiment).values(
        id=experiment["id"], title=experiment["title"], spec=experiment["spec"], source=source, device=experiment["device"],
        bound_device=experiment["bound_device"], created_at=_moment(experiment["created_at"]), request_key=experiment["id"],
    ))  # fmt: skip
    ids = insert_variants(connection, experiment["id"], record["variants"])
    environments = {key: insert_environment(connection, facts) for key, facts in record["environments"].items()}
    for run in _ended(record):
        row = insert(Run).values(
            experiment_id=experiment["id"], variant_id=ids[run["variant"]], environment_id=environments.get(run["environment"]),
            started_at=_moment(run["started_at"]), ended_at=_moment(run["ended_at"]),
            **{k: run[k] for k in ("round", "kind", "status", "reason", "device", "attempt", "evidence", "details", "host_peak_bytes",
                                   "log_tail", "seconds")},
        )  # fmt: skip
        run_id = connection.execute(row.returning(Run.id)).scalar_one()
        insert_measurements(connection, run_id, run["measurements"])


def _ended(record: dict[str, Any]) -> list[dict[str, Any]]:
    return [run for run in record["runs"] if run["status"] in _ENDED]


def _content(record: dict[str, Any]) -> Any:
    """What two copies of a record have in common: row ids and where it came from are left out."""
    experiment = {k: v for k, v in record["experiment"].items() if k != "source"}
    skipped = ("id", "environment", "cancel", "phase")
    runs = [
        {k: v for k, v in run.items() if k not in skipped} | {"facts": record["environments"].get(run["environment"])}
        for run in _ended(record)
    ]
    return experiment, record["variants"], runs


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text.removesuffix("Z"))
