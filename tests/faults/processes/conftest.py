"""The database, the scheduler processes and the checks afterwards are those of tests/engine/scheduler."""

from tests.engine.scheduler.conftest import _nothing_left, database, db, scheduler

__all__ = ["_nothing_left", "database", "db", "scheduler"]
