"""A migrated database of each kind, as in tests/db."""

from tests.db.conftest import db, url

__all__ = ["db", "url"]
