"""What a team does with many experiments: owner, note, tags, archive; and what lists filter by, without reading specs.

What can be derived of an experiment that is there already is filled in here.
"""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    for column in (
        sa.Column("owner", sa.String(length=120), nullable=True),
        sa.Column("note", sa.Text(), nullable=False, server_default=""),
        sa.Column("archived", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("edits", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("model", sa.Text(), nullable=False, server_default=""),
        sa.Column("workload", sa.Text(), nullable=False, server_default=""),
        sa.Column("hardware", sa.Text(), nullable=True),
        sa.Column("stored_at", sa.DateTime(), nullable=True),
    ):
        op.add_column("experiments", column)
    for table, name, length in (("experiment_tags", "tag", 40), ("experiment_techniques", "technique", 120)):
        op.create_table(
            table,
            sa.Column("experiment_id", sa.String(length=32), nullable=False),
            sa.Column(name, sa.String(length=length), nullable=False),
            sa.ForeignKeyConstraint(["experiment_id"], ["experiments.id"], ondelete="CASCADE"),
            sa.PrimaryKeyConstraint("experiment_id", name),
        )
        op.create_index(f"{table}_{name}", table, [name, "experiment_id"], unique=False)
    op.create_index("experiments_created", "experiments", ["created_at", "id", "edits"], unique=False)
    op.create_index("experiments_stored", "experiments", ["stored_at"], unique=False)
    op.create_index("runs_of_status", "runs", ["status", "experiment_id"], unique=False)
    for name, table, columns in (("runs_experiment", "runs", ["experiment_id", "status"]), ("measurements_run", "measurements", ["run_id", "metric"])):
        op.drop_index(name, table_name=table)
        op.create_index(name, table, columns, unique=False)
    _fill(op.get_bind())


def _fill(connection: sa.Connection) -> None:
    connection.execute(sa.text("UPDATE experiments SET stored_at = created_at"))
    hardware = _hardware(connection)
    techniques: dict[str, set[str]] = {}
    for experiment_id, stack in connection.execute(sa.text("SELECT experiment_id, stack FROM variants")):
        techniques.setdefault(experiment_id, set()).update(t["technique"] for t in _json(stack))
    rows = [
        {"id": id_, "model": _model(_json(spec)["model"]), "workload": _json(spec)["workload"]["name"], "hardware": hardware.get(id_)}
        for id_, spec in connection.execute(sa.text("SELECT id, spec FROM experiments"))
    ]
    if rows:
        fill = "UPDATE experiments SET model = :model, workload = :workload, hardware = :hardware WHERE id = :id"
        connection.execute(sa.text(fill), rows)
    if used := [{"id": id_, "technique": name} for id_, names in techniques.items() for name in sorted(names)]:
        connection.execute(sa.text("INSERT INTO experiment_techniques (experiment_id, technique) VALUES (:id, :technique)"), used)


def _hardware(connection: sa.Connection) -> dict[str, Any]:
    names = {id_: _json(facts).get("device") for id_, facts in connection.execute(sa.text("SELECT id, facts FROM environments"))}
    one = "SELECT experiment_id, min(environment_id) FROM runs WHERE environment_id IS NOT NULL GROUP BY experiment_id"
    return {experiment_id: names.get(environment) for experiment_id, environment in connection.execute(sa.text(one))}


def _model(model: dict[str, Any]) -> str:
    if model["source"] == "hub":
        return f"hub:{model['name']}@{model['revision']}"
    return f"local:{model['name']}" if model["source"] == "local" else str(model["name"])


def _json(value: Any) -> Any:
    """PostgreSQL's driver reads JSON itself, SQLite answers text."""
    return json.loads(value) if isinstance(value, str) else value
