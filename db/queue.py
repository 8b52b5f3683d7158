"""The queue: submit, claim, beat, finish, cancel, drop. Every write is one conditional UPDATE, the same on both databases.

A run is claimed at most once per attempt; whoever lost it cannot write it, because every write names the attempt. Compares
no clocks and starts nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Connection, CursorResult, Engine, ScalarSelect, Select, and_, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql.elements import ColumnElement

from db import audit
from db.experiments import insert_experiment, set_hardware
from db.results import insert_environment, insert_measurements
from db.session import reading
from db.tables import Experiment, Run, Variant, utc_now
from db.visitor import visible

PHASE_CHARACTERS = 200


@dataclass(frozen=True)
class Offer:
    """A free device, by its key, and the requests that it satisfies."""

    device_key: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Claim:
    """A run that is ours as long as its attempt is this one. `variant` is the position in the experiment."""

    run_id: int
    attempt: int
    experiment_id: str
    variant: int
    round: int
    kind: str
    spec: dict[str, Any]
    device_key: str


def submit(
    db: Engine, *, experiment: dict[str, Any], variants: list[dict[str, Any]], runs: list[dict[str, Any]]
) -> str:
    """Store an experiment with its queued runs, all or nothing. The same request key again returns the first one's id.

    experiment: {id, title, spec, source, device, request_key, owner and private or not}; variants: {name, stack, baseline}; runs: {variant, round, kind}
    in the order of execution, `variant` being a position.
    """
    try:
        with db.begin() as connection:
            ids = insert_experiment(connection, experiment | {"created_at": utc_now()}, variants)
            rows = [
                {"experiment_id": experiment["id"], "variant_id": ids[r["variant"]], "round": r["round"], "kind": r["kind"]}
                for r in runs
            ]
            connection.execute(insert(Run), rows)
            audit.of_experiments(connection, "started", [experiment["id"]])
            return str(experiment["id"])
    except IntegrityError:
        # inserting first and looking after is what holds when two requests arrive at once
        with db.begin() as connection:
            same = select(Experiment.id).where(Experiment.request_key == experiment["request_key"], visible(connection, Experiment.id))
            if (first := connection.execute(same).scalar()) is None:
                raise
            return str(first)


def claim(db: Engine, owner: str, offer: Offer) -> Claim | None:
    """Take the oldest queued run that this device may do; its experiment stays on this device from then on."""
    take = (
        update(Run)
        .where(Run.id == _oldest_that_fits(offer), Run.status == "queued")
        .values(
            status="running", owner=owner, attempt=Run.attempt + 1, beat=0, device=offer.device_key,
            started_at=utc_now(), phase=None, cancel=False,
        )
        .returning(Run.id, Run.attempt, Run.experiment_id, Run.variant_id, Run.round, Run.kind)
    )  # fmt: skip
    with db.begin() as connection:
        if (run := connection.execute(take).first()) is None:
            return None
        unbound_or_ours = or_(Experiment.bound_device.is_(None), Experiment.bound_device == offer.device_key)
        bind = (
            update(Experiment)
            .where(Experiment.id == run.experiment_id, unbound_or_ours)
            .values(bound_device=offer.device_key)
            .returning(Experiment.spec)
        )
        if (bound := connection.execute(bind).first()) is None:
            connection.rollback()  # another device was quicker with another run of it
            return None
        position = connection.execute(select(Variant.position).where(Variant.id == run.variant_id)).scalar_one()
        return Claim(
            run.id, run.attempt, run.experiment_id, position, run.round, run.kind, dict(bound.spec), offer.device_key
        )


def has_work(db: Engine, offer: Offer) -> bool:
    """Whether a run is queued that this device may do. Changes nothing: ask it before a device is reserved."""
    with reading(db) as connection:
        return connection.execute(_those_that_fit(offer).limit(1)).first() is not None


def _oldest_that_fits(offer: Offer) -> ScalarSelect[int]:
    oldest = _those_that_fit(offer).order_by(Run.id).limit(1)
    return oldest.with_for_update(of=Run, skip_locked=True).scalar_subquery()  # compiles to nothing on SQLite


def _those_that_fit(offer: Offer) -> Select[int]:
    fits = or_(
        Experiment.bound_device == offer.device_key,
        and_(Experiment.bound_device.is_(None), Experiment.device.in_(offer.answers)),
    )
    return select(Run.id).join(Experiment, Experiment.id == Run.experiment_id).where(Run.status == "queued", fits)


def _ours(claim: Claim) -> ColumnElement[bool]:
    return and_(Run.id == claim.run_id, Run.attempt == claim.attempt, Run.status == "running")


def beat(db: Engine, claim: Claim, *, phase: str | None, log_tail: str | None) -> bool | None:
    """A sign of life with what the run does now. Returns whether it shall be cancelled; None if it is no longer ours."""
    phase = phase[:PHASE_CHARACTERS] if phase else None
    sign = update(Run).where(_ours(claim)).values(beat=Run.beat + 1, phase=phase, log_tail=log_tail).returning(Run.cancel)
    with db.begin() as connection:
        return connection.execute(sign).scalar()


def finish(
    db: Engine, claim: Claim, *, status: str, reason: str | None, measurements: list[dict[str, Any]],
    evidence: dict[str, Any], details: dict[str, Any], environment: dict[str, Any] | None,
    host_peak_bytes: int | None, log_tail: str | None, seconds: float,
) -> bool:  # fmt: skip
    """Write the outcome in one transaction; False, and nothing is written, if the run is no longer ours."""
    with db.begin() as connection:
        outcome = update(Run).where(_ours(claim)).values(
            status=status, reason=reason, evidence=evidence, details=details, host_peak_bytes=host_peak_bytes,
            log_tail=log_tail, seconds=seconds, ended_at=utc_now(), phase=None,
            environment_id=insert_environment(connection, environment),
        )  # fmt: skip
        if not _count(connection, outcome):
            connection.rollback()
            return False
        insert_measurements(connection, claim.run_id, measurements)
        set_hardware(connection, claim.experiment_id, environment)
        return True


def drop_rounds(db: Engine, experiment_id: str, first: int) -> int:
    """Take the queued runs of a round and all later ones out: they are not needed, so nothing became of them. Returns how many."""
    with db.begin() as connection:
        queued = delete(Run).where(Run.experiment_id == experiment_id, Run.round >= first, Run.status == "queued")
        return _count(connection, queued)


def cancel_experiment(db: Engine, experiment_id: str) -> int:
    """Cancel what has not ended of it: queued runs at once, running ones as soon as their scheduler looks. Returns how many."""
    return _cancel(db, Run.experiment_id == experiment_id)


def cancel_run(db: Engine, run_id: int) -> bool:
    """The same for one run; False if it had ended."""
    return _cancel(db, Run.id == run_id) == 1


def _cancel(db: Engine, which: ColumnElement[bool]) -> int:
    end = {"status": "cancelled", "reason": "cancelled before it began", "ended_at": utc_now()}
    with db.begin() as connection:
        which = and_(which, visible(connection, Run.experiment_id))
        of = connection.execute(select(Run.experiment_id).where(which, Run.status.in_(("queued", "running"))).distinct()).scalars().all()
        ended = _count(connection, update(Run).where(which, Run.status == "queued").values(end))
        ended += _count(connection, update(Run).where(which, Run.status == "running").values(cancel=True))
        audit.of_experiments(connection, "cancelled", of)
        return ended


def experiment_of(db: Engine, run_id: int) -> str | None:
    """The experiment that a run belongs to; None where there is no such run."""
    with reading(db) as connection:
        return connection.execute(select(Run.experiment_id).where(Run.id == run_id, visible(db, Run.experiment_id))).scalar()


def delete_experiment(db: Engine, experiment_id: str) -> bool:
    """Remove it with all its runs; False if there is none. Raises ValueError while one of its runs is running."""
    with db.begin() as connection:
        if connection.execute(select(Experiment.id).where(Experiment.id == experiment_id, visible(connection, Experiment.id))).first() is None:
            return False
        ended = update(Run).where(Run.experiment_id == experiment_id, Run.status == "queued").values(status="cancelled")
        connection.execute(ended)  # first: a queued run must not be claimed from here on
        running = select(Run.id).where(Run.experiment_id == experiment_id, Run.status == "running").limit(1)
        if connection.execute(running).first() is not None:
            connection.rollback()
            raise ValueError("this experiment has a run in progress; cancel it and wait for its end, then delete it")
        audit.of_experiments(connection, "deleted", [experiment_id])
        return _count(connection, delete(Experiment).where(Experiment.id == experiment_id)) == 1


def _count(connection: Connection, statement: Any) -> int:
    return cast("CursorResult[Any]", connection.execute(statement)).rowcount
