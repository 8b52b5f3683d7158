"""A database of an older version keeps all that is in it when it is upgraded, and gets what newer versions ask of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

from db import audit, edits, queries, saved
from db import session as session_module
from db.session import connect, migrate, reading
from db.visitor import Visitor, acting

NOW = "2026-01-02 03:04:05.000000"
MODELS = {
    "bundled-one": ({"source": "bundled", "name": "smollm2-135m", "revision": None}, "smollm2-135m"),
    "local-one": ({"source": "local", "name": "mine", "revision": None}, "local:mine"),
    "hub-one": ({"source": "hub", "name": "org/name", "revision": "0" * 40}, f"hub:org/name@{'0' * 40}"),
}


MIGRATIONS = Path(session_module.__file__).parent / "migrations"
OLDER = sorted(script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions())[:-1]
"""The schema of every earlier release."""


def at_revision(url: str, revision: str) -> Engine:
    db = connect(url)
    to_revision(db, revision)
    return db


def to_revision(db: Engine, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with db.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def fill(db: Engine) -> None:
    """Three experiments as version 0001 kept them: one measured on a named GPU, two that never ran."""
    add = {
        "experiments": "(id, title, spec, source, device, bound_device, request_key, created_at)"
        " VALUES (:id, 'A title', :spec, 'local', 'cuda', NULL, :id, :now)",
        "variants": "(id, experiment_id, position, name, stack, baseline) VALUES (:number, :id, 0, 'a', :stack, :yes)",
        "environments": "(id, facts) VALUES ('e1', :facts)",
        "runs": "(experiment_id, variant_id, kind, round, status, attempt, beat, cancel, environment_id, log_tail)"
        " VALUES (:id, 1, 'speed', 0, 'succeeded', 1, 0, :no, 'e1', 'the end')",
        "measurements": "(run_id, metric, point, status, value, n_samples, samples, warmups)"
        " VALUES ((SELECT min(id) FROM runs), 'ttft_seconds', :point, 'succeeded', 0.5, 2, :samples, '[]')",
    }
    with db.begin() as connection:

        def insert(table: str, **values: Any) -> None:
            connection.execute(text(f"INSERT INTO {table} {add[table]}"), values)

        for number, (id_, (model, _)) in enumerate(MODELS.items(), start=1):
            spec = {"title": "A title", "model": model, "workload": {"name": "generation"}}
            insert("experiments", id=id_, spec=json.dumps(spec), now=NOW)
            stack = [{"technique": t, "options": {}} for t in ("bnb_int8", "sdpa")[:number]]
            insert("variants", number=number, id=id_, stack=json.dumps(stack), yes=True)
        insert("environments", facts=json.dumps({"device": "NVIDIA H200"}))
        insert("runs", id="bundled-one", no=False)
        insert("measurements", point=json.dumps({"batch": 1}), samples=json.dumps([0.4, 0.6]))


@pytest.mark.case("T25")
@pytest.mark.parametrize("older", OLDER)
def test_an_upgrade_from_an_older_schema_keeps_everything_and_fills_what_is_new(url: str, older: str) -> None:
    db = at_revision(url, "0001")
    fill(db)
    at_revision(url, older).dispose()
    migrate(db)
    record = queries.record(db, "bundled-one", samples="all")
    assert record is not None and record["experiment"]["title"] == "A title"
    (run,) = record["runs"]
    assert run["log_tail"] == "the end" and run["measurements"][0]["samples"] == [0.4, 0.6]
    assert record["environments"] == {"e1": {"device": "NVIDIA H200"}}
    with reading(db) as connection:
        rows = {r.id: r for r in connection.execute(text("SELECT * FROM experiments"))}
        used = connection.execute(text("SELECT experiment_id, technique FROM experiment_techniques ORDER BY 1, 2")).all()
    assert {i: r.model for i, r in rows.items()} == {i: name for i, (_, name) in MODELS.items()}
    assert {r.workload for r in rows.values()} == {"generation"}
    assert {i: r.hardware for i, r in rows.items()} == {"bundled-one": "NVIDIA H200", "local-one": None, "hub-one": None}
    assert all(str(r.stored_at) == str(r.created_at) for r in rows.values())
    assert [tuple(u) for u in used] == [
        ("bundled-one", "bnb_int8"), ("hub-one", "bnb_int8"), ("hub-one", "sdpa"), ("local-one", "bnb_int8"), ("local-one", "sdpa"),
    ]  # fmt: skip
    said = edits.current(db, "hub-one")
    assert said == {"title": "A title", "owner": None, "private": False, "note": "", "archived": False, "edits": 0, "tags": []}
    db.dispose()


@pytest.mark.parametrize("revision", ["0002", "0003"])
def test_an_upgrade_from_a_later_schema_keeps_what_was_said_and_shared(url: str, revision: str) -> None:
    db = at_revision(url, "0001")
    fill(db)
    to_revision(db, revision)
    with db.begin() as connection:
        connection.execute(text("UPDATE experiments SET owner = 'ana', note = 'a note', archived = :yes, edits = 3 WHERE id = 'hub-one'"), {"yes": True})
        connection.execute(text("INSERT INTO experiment_tags (experiment_id, tag) VALUES ('hub-one', 'kept')"))
        if revision == "0003":
            columns = "(id, name, page, params, variants, owner, created_at)"
            view = f"INSERT INTO saved_views {columns} VALUES ('v', 'a view', 'experiments', :params, 1, 'ana', :now)"
            connection.execute(text(view), {"params": json.dumps({"q": "x"}), "now": NOW})
            columns = "(id, sha256, document, name, page, variants, created_at)"
            shot = f"INSERT INTO snapshots {columns} VALUES ('s', 'hash', :document, 'n', 'experiment', 1, :now)"
            connection.execute(text(shot), {"document": b"bytes", "now": NOW})
    migrate(db)
    record = queries.record(db, "bundled-one", samples="all")
    assert record is not None and record["runs"][0]["measurements"][0]["samples"] == [0.4, 0.6]
    said = edits.current(db, "hub-one")
    assert said == {"title": "A title", "owner": "ana", "private": False, "note": "a note", "archived": True, "edits": 3, "tags": ["kept"]}
    assert audit.acts(db, 10) == ([], 0)
    if revision == "0003":
        view_ = saved.view(db, "v")
        shot_ = saved.snapshot(db, "s")
        assert view_ is not None and view_["params"] == {"q": "x"} and view_["owner"] == "ana"
        assert shot_ is not None and bytes(shot_["document"]) == b"bytes"
    # what is new works on what is old
    edits.change(acting(db, Visitor("ana", sees_all=False)), ["hub-one"], {"private": True})
    assert queries.record(acting(db, Visitor("ben", sees_all=False)), "hub-one") is None
    db.dispose()


def test_an_upgrade_of_an_empty_first_schema(url: str) -> None:
    db = at_revision(url, "0001")
    migrate(db)
    assert queries.count_experiments(db) == 0
    db.dispose()
