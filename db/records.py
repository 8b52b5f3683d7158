"""Stores a record that was measured elsewhere: a bundle from a GPU machine, or the project's reference results."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, insert, select
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError

from db import audit, queries
from db.experiments import insert_experiment, replace_experiment, set_hardware
from db.results import insert_environment, insert_measurements
from db.session import reading
from db.tables import Experiment, Run
from db.visitor import visitor_of

_ENDED = frozenset(queries.STATUSES) - {"queued", "running"}


def import_record(db: Engine, record: dict[str, Any], source: str) -> str:
    """Store a record under its own id and return that; runs that had not ended are left out.

    The same record again changes nothing, whatever its title is by now. A reference result takes the place of a stored reference
    result of that id, and of nothing else; what people said of that one stays. Raises ValueError where another one has the id, or what is in it cannot be read.
    """
    try:
        experiment_id = str(record["experiment"]["id"])
        there = queries.record(db, experiment_id, samples="all")
        if there is not None and _content(there) == _content(record):
            return experiment_id
        outdated = there is not None and there["experiment"]["source"] == source == "reference"
        if there is None or outdated:
            with db.begin() as connection:
                _store(connection, record, source, there)
            return experiment_id
    except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
        raise ValueError(f"bundle: it is incomplete or was changed: {type(error).__name__}: {error}") from None
    except (DBAPIError, StatementError) as error:
        if isinstance(error, IntegrityError) and _is_stored(db, experiment_id):
            raise ValueError(f"file: {experiment_id} is here already: somebody keeps it private, or has just now imported it too") from None
        raise ValueError(f"bundle: it cannot be stored: {' '.join(str(error.orig).split())}") from None
    raise ValueError(f"bundle: an experiment {experiment_id} with other content is there already; delete it first")


def _is_stored(db: Engine, experiment_id: str) -> bool:
    """Whether it is there, hidden or not."""
    with reading(db) as connection:
        return connection.execute(select(Experiment.id).where(Experiment.id == experiment_id)).first() is not None


def _store(connection: Connection, record: dict[str, Any], source: str, there: dict[str, Any] | None) -> None:
    experiment = record["experiment"]
    fields = {k: experiment[k] for k in ("id", "title", "spec", "device", "bound_device")}
    fields |= {"source": source, "created_at": _moment(experiment["created_at"]), "request_key": experiment["id"]}
    if there is None:
        visitor = visitor_of(connection)
        ids = insert_experiment(connection, fields | {"owner": visitor.name if visitor else None}, record["variants"])
    else:
        if there["experiment"]["title"] != there["experiment"]["spec"]["title"]:  # renamed here
            del fields["title"]
        ids = replace_experiment(connection, fields | {"hardware": None}, record["variants"])
    for facts in record["environments"].values():
        set_hardware(connection, experiment["id"], facts)
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
    audit.of_experiments(connection, "imported", [experiment["id"]])


def _ended(record: dict[str, Any]) -> list[dict[str, Any]]:
    return [run for run in record["runs"] if run["status"] in _ENDED]


def _content(record: dict[str, Any]) -> Any:
    """What two copies of a record have in common: row ids, where it came from and the title that may change are left out."""
    experiment = {k: v for k, v in record["experiment"].items() if k not in ("source", "title")}
    skipped = ("id", "environment", "cancel", "phase")
    runs = [
        {k: v for k, v in run.items() if k not in skipped} | {"facts": record["environments"].get(run["environment"])}
        for run in _ended(record)
    ]
    return experiment, record["variants"], runs


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text.removesuffix("Z"))
