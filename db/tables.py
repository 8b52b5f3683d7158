"""The tables. An experiment has variants; a variant has runs; a run has measurements and one environment.

Bytes and counters are BigInteger: 2**31 bytes is an ordinary model. Text that programs write is length-checked by its writer.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, DateTime, Float, ForeignKey, Index, Integer, LargeBinary, String, Text, false
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


def utc_now() -> datetime:
    """For display only: liveness and durations never use it. Naive UTC, the same on both databases."""
    return datetime.now(UTC).replace(tzinfo=None)


def iso(moment: datetime | None) -> str | None:
    """UTC with a Z; the database keeps naive UTC."""
    return None if moment is None else moment.isoformat(timespec="seconds") + "Z"


class Base(DeclarativeBase):
    type_annotation_map: ClassVar = {dict[str, Any]: JSON(none_as_null=True), list[Any]: JSON, datetime: DateTime}


class Experiment(Base):
    __tablename__ = "experiments"
    __table_args__ = (Index("experiments_created", "created_at", "id", "edits"), Index("experiments_stored", "stored_at"),
                      Index("experiments_private", "private", "owner", "id"))  # fmt: skip

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    """Public, unguessable."""
    title: Mapped[str] = mapped_column(String(200))
    spec: Mapped[dict[str, Any]]
    source: Mapped[str] = mapped_column(String(16), default="local")
    """local | reference | imported"""
    device: Mapped[str] = mapped_column(String(200))
    """What was asked for: cpu, cuda or a named device."""
    bound_device: Mapped[str | None] = mapped_column(String(200))
    """The one device that all its runs stay on; set when the first run is claimed."""
    request_key: Mapped[str] = mapped_column(String(64), unique=True)
    """Made once per form: a double click inserts once."""
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    owner: Mapped[str | None] = mapped_column(String(120))
    """Who made it here."""
    private: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Seen by its owner and by admins; db/visitor.py."""
    note: Mapped[str] = mapped_column(Text, default="", server_default="")
    """Markdown."""
    archived: Mapped[bool] = mapped_column(default=False, server_default=false())
    edits: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    """Counts every change of title, note, tags and archive."""
    model: Mapped[str] = mapped_column(Text, default="", server_default="")
    workload: Mapped[str] = mapped_column(Text, default="", server_default="")
    hardware: Mapped[str | None] = mapped_column(Text)
    """The name of the device that its runs found, "NVIDIA H200"; none before the first run has told."""
    stored_at: Mapped[datetime | None] = mapped_column(default=utc_now)
    """When it came into this database; what was measured elsewhere was created long before."""


class ExperimentTag(Base):
    __tablename__ = "experiment_tags"
    __table_args__ = (Index("experiment_tags_tag", "tag", "experiment_id"),)

    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id", ondelete="CASCADE"), primary_key=True)
    tag: Mapped[str] = mapped_column(String(40), primary_key=True)


class ExperimentTechnique(Base):
    """Which techniques occur in the variants of an experiment: what lists filter by."""

    __tablename__ = "experiment_techniques"
    __table_args__ = (Index("experiment_techniques_technique", "technique", "experiment_id"),)

    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id", ondelete="CASCADE"), primary_key=True)
    technique: Mapped[str] = mapped_column(String(120), primary_key=True)


class Variant(Base):
    __tablename__ = "variants"
    __table_args__ = (Index("variants_experiment", "experiment_id", "position"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id", ondelete="CASCADE"))
    position: Mapped[int] = mapped_column(Integer)
    name: Mapped[str] = mapped_column(String(120))
    stack: Mapped[list[Any]]
    """[{"technique": ..., "options": {...}}] in the order written."""
    baseline: Mapped[bool]


class Environment(Base):
    __tablename__ = "environments"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    """sha256 of the facts."""
    facts: Mapped[dict[str, Any]]


class Run(Base):
    __tablename__ = "runs"
    __table_args__ = (
        Index("runs_queue", "status", "id"), Index("runs_experiment", "experiment_id", "status"), Index("runs_of_status", "status", "experiment_id"),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id", ondelete="CASCADE"))
    variant_id: Mapped[int] = mapped_column(ForeignKey("variants.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(16))
    """speed | quality | profile"""
    round: Mapped[int] = mapped_column(Integer)
    status: Mapped[str] = mapped_column(String(16), default="queued")
    reason: Mapped[str | None] = mapped_column(Text)
    owner: Mapped[str | None] = mapped_column(String(64))
    """The scheduler that claimed it."""
    device: Mapped[str | None] = mapped_column(String(200))
    attempt: Mapped[int] = mapped_column(Integer, default=0)
    """Fences every write: a scheduler that lost a run cannot overwrite it."""
    beat: Mapped[int] = mapped_column(BigInteger, default=0)
    """Counter that moves while the run is alive; liveness without clocks."""
    cancel: Mapped[bool] = mapped_column(default=False)
    phase: Mapped[str | None] = mapped_column(String(200))
    log_tail: Mapped[str | None] = mapped_column(Text, deferred=True)
    evidence: Mapped[dict[str, Any] | None]
    details: Mapped[dict[str, Any] | None]
    host_peak_bytes: Mapped[int | None] = mapped_column(BigInteger)
    environment_id: Mapped[str | None] = mapped_column(ForeignKey("environments.id"))
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    seconds: Mapped[float | None] = mapped_column(Float)
    """How long it took by the scheduler's monotonic clock."""


class Measurement(Base):
    __tablename__ = "measurements"
    __table_args__ = (Index("measurements_run", "run_id", "metric"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
    metric: Mapped[str] = mapped_column(String(64))
    point: Mapped[dict[str, Any]]
    status: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(Text)
    value: Mapped[float | None] = mapped_column(Float)
    n_samples: Mapped[int] = mapped_column(Integer)
    samples: Mapped[list[Any]] = mapped_column(deferred=True)
    warmups: Mapped[list[Any]] = mapped_column(deferred=True)


class Scheduler(Base):
    __tablename__ = "schedulers"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    machine: Mapped[str] = mapped_column(String(200))
    pid: Mapped[int] = mapped_column(Integer)
    beat: Mapped[int] = mapped_column(BigInteger, default=0)
    devices: Mapped[list[Any]]
    """[Device as JSON]"""
    availability: Mapped[dict[str, Any]]
    """{device id: {technique: reason or null}}"""
    seen_at: Mapped[datetime] = mapped_column(default=utc_now)
    """Database-side display time of the last beat; liveness is judged by `beat` moving."""


class SavedView(Base):
    """An address of a page under a name: it shows what is there when it is opened."""

    __tablename__ = "saved_views"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    """Public, unguessable; links carry it, so the name may change."""
    name: Mapped[str] = mapped_column(String(200))
    page: Mapped[str] = mapped_column(String(32))
    params: Mapped[dict[str, Any]]
    """{parameter of the address: text}"""
    variants: Mapped[int] = mapped_column(Integer)
    """How many it showed when it was saved; for lists."""
    owner: Mapped[str | None] = mapped_column(String(120))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class Snapshot(Base):
    """What a page showed at a moment. Nothing updates a row; the columns beside `document` repeat it for lists."""

    __tablename__ = "snapshots"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    """Made from the content's hash (engine/snapshot.py): a link says what it must find."""
    sha256: Mapped[str] = mapped_column(String(64))
    document: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    name: Mapped[str] = mapped_column(String(200))
    page: Mapped[str] = mapped_column(String(32))
    variants: Mapped[int] = mapped_column(Integer)
    owner: Mapped[str | None] = mapped_column(String(120))
    created_at: Mapped[datetime]


class Act(Base):
    """One thing that somebody did; see db/audit.py. No foreign key: it outlives what it names."""

    __tablename__ = "acts"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    at: Mapped[datetime] = mapped_column(default=utc_now)
    who: Mapped[str] = mapped_column(String(120))
    action: Mapped[str] = mapped_column(String(32))
    subject_id: Mapped[str | None] = mapped_column(String(32))
    subject: Mapped[str] = mapped_column(String(200))
    """What it was called then."""
