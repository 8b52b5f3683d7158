"""Tests of the facts: schema, queue, liveness, queries, records; all on SQLite and on PostgreSQL."""
