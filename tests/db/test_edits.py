"""What people say of an experiment is stored, counted as an edit, and survives what comes again from elsewhere."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Engine

from db import edits, listing, queries, queue
from db.filter import Filter
from db.records import import_record
from tests.db.conftest import CPU, end, enqueue
from tests.records import build_record


def said(db: Engine, experiment: str) -> dict[str, object]:
    found = edits.current(db, experiment)
    assert found is not None
    return found


def test_changes_are_stored_and_counted(db: Engine) -> None:
    one, other = enqueue(db, owner="ada"), enqueue(db)
    assert edits.change(db, [one], {"title": "New", "note": "*why*"}) == 1
    assert edits.change(db, [one, other, "gone"], {"archived": True}) == 2
    assert edits.add_tags(db, [one, "gone"], ["b", "a", "b"]) == 1
    assert edits.add_tags(db, [one], ["a"]) == 1
    expected = {"title": "New", "owner": "ada", "private": False, "note": "*why*", "archived": True, "edits": 4, "tags": ["a", "b"]}
    assert said(db, one) == expected
    assert edits.remove_tags(db, [one, other], ["a", "never"]) == 2
    assert said(db, one)["tags"] == ["b"]
    assert edits.current(db, "gone") is None


def test_many_who_rename_tag_and_cancel_at_once_wait_for_each_other(db: Engine) -> None:
    experiment = enqueue(db, runs=3)

    def work(number: int) -> None:
        edits.change(db, [experiment], {"title": f"name {number}"})
        edits.add_tags(db, [experiment], [f"tag {number}"])
        queue.cancel_experiment(db, experiment)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(24)))  # raises what any of them raised: "database is locked", a deadlock
    found = said(db, experiment)
    assert found["tags"] == sorted(f"tag {n}" for n in range(24)) and found["edits"] == 48 and str(found["title"]).startswith("name ")
    assert {run["status"] for run in queries.record(db, experiment)["runs"]} == {"cancelled"}  # type: ignore[index]


def test_an_edit_changes_the_token_of_its_experiment_alone(db: Engine) -> None:
    one, other = enqueue(db), enqueue(db)
    before, everything = (queries.change_token(db, one), queries.change_token(db, other)), queries.change_token(db)
    edits.change(db, [one], {"title": "New"})
    assert queries.change_token(db) != everything, "lists have news too"
    assert queries.change_token(db, one) != before[0] and queries.change_token(db, other) == before[1]


def test_the_first_run_that_tells_its_environment_names_the_hardware(db: Engine) -> None:
    enqueue(db, runs=2)
    for device in ("NVIDIA H200", "another"):
        claimed = queue.claim(db, "me", CPU)
        assert claimed is not None and end(db, claimed, environment={"device": device})
    assert set(listing.experiments(db, Filter())["hardware"]) == {"NVIDIA H200"}


def test_tags_note_and_new_name_survive_a_changed_reference(db: Engine) -> None:
    record = build_record({"base": {"ttft_seconds": [1.0]}})
    experiment = import_record(db, record, "reference")
    edits.change(db, [experiment], {"title": "Mine", "note": "n", "archived": True})
    edits.add_tags(db, [experiment], ["keep"])
    assert import_record(db, record, "reference") == experiment, "another title alone is the same record"
    record["runs"][0]["seconds"] = 11.0
    import_record(db, record, "reference")
    assert said(db, experiment) | {"edits": 0} == {
        "title": "Mine", "owner": None, "private": False, "note": "n", "archived": True, "edits": 0, "tags": ["keep"],
    }  # fmt: skip
    there = queries.record(db, experiment)
    assert there is not None and [r["seconds"] for r in there["runs"]] == [11.0]
