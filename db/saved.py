"""Saved views and frozen snapshots: keeps them, lists them, deletes them. A view can be renamed; nothing changes a snapshot.

What a snapshot holds and how it is checked is engine/snapshot.py; here its document is bytes.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Engine, delete, func, insert, literal, select, union_all, update

from db import audit
from db.session import reading
from db.tables import SavedView, Snapshot, iso

_VIEW = SavedView.__table__


def save_view(db: Engine, view_id: str, *, name: str, page: str, params: dict[str, str], variants: int, owner: str | None) -> None:
    """Keep an address under a name. Raises ValueError for a name that cannot be one."""
    with db.begin() as connection:
        row = {"name": _named(name), "page": page, "params": params, "variants": variants, "owner": owner}
        connection.execute(insert(SavedView).values(id=view_id, **row))
        audit.record(connection, "saved a view", [(view_id, str(row["name"]))])


def rename_view(db: Engine, view_id: str, name: str, owner: str | None) -> bool:
    """Only by its owner; the link stays. False where there is none of that owner."""
    own = update(SavedView).where(SavedView.id == view_id, SavedView.owner.is_not_distinct_from(owner)).values(name=_named(name))
    with db.begin() as connection:
        return connection.execute(own).rowcount == 1


def delete_view(db: Engine, view_id: str, owner: str | None) -> bool:
    """Only by its owner."""
    own = delete(SavedView).where(SavedView.id == view_id, SavedView.owner.is_not_distinct_from(owner)).returning(SavedView.name)
    return _deleted(db, own, "deleted a view", view_id)


def view(db: Engine, view_id: str) -> dict[str, Any] | None:
    """{id, name, page, params, owner, created_at}; None where there is none."""
    with reading(db) as connection:
        found = connection.execute(select(_VIEW).where(SavedView.id == view_id)).mappings().first()
    return None if found is None else {**found, "created_at": iso(found["created_at"])}


def keep_snapshot(db: Engine, frozen: dict[str, Any]) -> None:
    """Store what engine/snapshot.py froze. The same one again changes nothing."""
    row = frozen | {"name": _named(frozen["name"]), "created_at": datetime.fromisoformat(frozen["created_at"].removesuffix("Z"))}
    with db.begin() as connection:
        if connection.execute(select(Snapshot.id).where(Snapshot.id == frozen["id"])).first() is None:
            connection.execute(insert(Snapshot).values(**row))
            audit.record(connection, "froze a snapshot", [(row["id"], row["name"])])


def snapshot(db: Engine, snapshot_id: str) -> dict[str, Any] | None:
    """One with its document; None where there is none."""
    with reading(db) as connection:
        found = connection.execute(select(Snapshot.__table__).where(Snapshot.id == snapshot_id)).mappings().first()
    return None if found is None else {**found, "created_at": iso(found["created_at"])}


def listed(db: Engine, limit: int, offset: int = 0, kind: str | None = None) -> tuple[list[dict[str, Any]], int]:
    """(views and snapshots, newest first: kind, id, name, page, variants, owner, created_at; how many there are in all)."""
    of_kind: dict[str, type[SavedView] | type[Snapshot]] = {"view": SavedView, "snapshot": Snapshot}
    parts = [
        select(literal(name).label("kind"), t.id, t.name, t.page, t.variants, t.owner, t.created_at)
        for name, t in of_kind.items() if kind in (None, name)
    ]  # fmt: skip
    both = union_all(*parts).subquery()
    with reading(db) as connection:
        found = connection.execute(select(both).order_by(both.c.created_at.desc(), both.c.id).limit(limit).offset(offset)).mappings()
        rows = [{**row, "created_at": iso(row["created_at"])} for row in found]
        return rows, int(connection.execute(select(func.count()).select_from(both)).scalar_one())


def delete_snapshot(db: Engine, snapshot_id: str, owner: str | None) -> bool:
    """Only by its owner."""
    own = delete(Snapshot).where(Snapshot.id == snapshot_id, Snapshot.owner.is_not_distinct_from(owner)).returning(Snapshot.name)
    return _deleted(db, own, "deleted a snapshot", snapshot_id)


def _deleted(db: Engine, own: Any, action: str, subject_id: str) -> bool:
    with db.begin() as connection:
        name = connection.execute(own).scalar()
        if name is not None:
            audit.record(connection, action, [(subject_id, name)])
        return name is not None


def _named(name: str) -> str:
    text = " ".join(name.split())
    if not 0 < len(text) <= 200:
        raise ValueError(f"name: it has {len(text)} characters; use 1 to 200")
    return text
