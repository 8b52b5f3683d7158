"""Saved views and snapshots on both databases: what changes, what never does, and who may delete."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine

from db import saved

FROZEN: dict[str, Any] = {
    "id": "snap-1", "sha256": "a" * 64, "document": b"\x00\xffbytes", "name": "int8 or nf4", "page": "experiment", "variants": 3, "owner": "ada",
    "created_at": "2026-01-02T03:04:05Z",
}  # fmt: skip


def keep_view(db: Engine, view_id: str = "view-1", owner: str | None = "ada") -> None:
    saved.save_view(db, view_id, name="  Mine \n and ours ", page="compare", params={"variants": "a.0,b.1", "x": "perplexity"}, variants=2, owner=owner)


def test_a_view_comes_back_as_it_was_saved(db: Engine) -> None:
    keep_view(db)
    found = saved.view(db, "view-1")
    assert found is not None and found.pop("created_at").endswith("Z")
    assert found == {
        "id": "view-1", "name": "Mine and ours", "page": "compare", "params": {"variants": "a.0,b.1", "x": "perplexity"}, "variants": 2, "owner": "ada",
    }  # fmt: skip
    assert saved.view(db, "view-2") is None


def test_a_view_can_be_renamed_and_its_id_stays(db: Engine) -> None:
    keep_view(db)
    assert saved.rename_view(db, "view-1", "Another", "ada")
    assert [(v["id"], v["name"]) for v in saved.listed(db, 10)[0]] == [("view-1", "Another")]


@pytest.mark.parametrize("name", ["", " \n ", "x" * 201])
def test_names_that_are_none_are_refused(db: Engine, name: str) -> None:
    keep_view(db)
    with pytest.raises(ValueError, match="name: it has"):
        saved.rename_view(db, "view-1", name, "ada")


@pytest.mark.parametrize(("owner", "other"), [("ada", "eve"), ("ada", None), (None, "eve")])
def test_only_its_owner_renames_and_deletes(db: Engine, owner: str | None, other: str | None) -> None:
    keep_view(db, owner=owner)
    saved.keep_snapshot(db, FROZEN | {"owner": owner})
    assert not saved.rename_view(db, "view-1", "Taken", other)
    assert not saved.delete_view(db, "view-1", other) and not saved.delete_snapshot(db, "snap-1", other)
    assert saved.listed(db, 10)[1] == 2
    assert saved.delete_view(db, "view-1", owner) and saved.delete_snapshot(db, "snap-1", owner)
    assert saved.listed(db, 10) == ([], 0)


def test_a_snapshot_comes_back_to_the_byte_and_lists_without_its_document(db: Engine) -> None:
    saved.keep_snapshot(db, FROZEN)
    assert saved.snapshot(db, "snap-1") == FROZEN
    kept = {k: v for k, v in FROZEN.items() if k not in ("document", "sha256")}
    assert saved.listed(db, 10) == ([kept | {"kind": "snapshot"}], 1)
    assert saved.snapshot(db, "snap-2") is None


def test_nothing_changes_a_snapshot(db: Engine) -> None:
    saved.keep_snapshot(db, FROZEN)
    saved.keep_snapshot(db, FROZEN | {"document": b"other", "name": "other", "owner": "eve"})
    assert saved.snapshot(db, "snap-1") == FROZEN


def test_both_kinds_newest_first_and_by_pages(db: Engine) -> None:
    for month in (1, 3, 2):
        saved.keep_snapshot(db, FROZEN | {"id": f"snap-{month}", "created_at": f"2020-0{month}-02T03:04:05Z"})
    keep_view(db)
    names = ["view-1", "snap-3", "snap-2", "snap-1"]
    assert [s["id"] for s in saved.listed(db, 10)[0]] == names
    assert [[s["id"] for s in saved.listed(db, 3, offset)[0]] for offset in (0, 3, 6)] == [names[:3], names[3:], []]
    assert [saved.listed(db, 1, kind=kind)[1] for kind in ("view", "snapshot", None)] == [1, 3, 4]
