"""Stores an experiment with its variants and with what lists filter by, derived once so that no list reads a spec.

Used inside the transaction of the caller.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, delete, insert, update

from db.tables import Experiment, ExperimentTechnique, Variant

HARDWARE_CHARACTERS = 200


def insert_experiment(connection: Connection, experiment: dict[str, Any], variants: list[dict[str, Any]]) -> list[int]:
    """experiment: columns of its row; variants: {name, stack, baseline}. Returns the variants' row ids by position."""
    connection.execute(insert(Experiment).values(experiment | _derived(experiment["spec"])))
    return _insert_variants(connection, experiment["id"], variants)


def replace_experiment(connection: Connection, experiment: dict[str, Any], variants: list[dict[str, Any]]) -> list[int]:
    """The same in place of what is stored under that id; owner, note, tags and archive stay, runs and variants go."""
    for table in (Variant, ExperimentTechnique):
        connection.execute(delete(table).where(table.experiment_id == experiment["id"]))
    row = experiment | _derived(experiment["spec"])
    connection.execute(update(Experiment).where(Experiment.id == experiment["id"]).values(row))
    return _insert_variants(connection, experiment["id"], variants)


def set_hardware(connection: Connection, experiment_id: str, facts: dict[str, Any] | None) -> None:
    """What the first run that tells its environment says: its experiment stays on that device."""
    if name := (facts or {}).get("device"):
        unknown = update(Experiment).where(Experiment.id == experiment_id, Experiment.hardware.is_(None))
        connection.execute(unknown.values(hardware=str(name)[:HARDWARE_CHARACTERS]))


def model_name(spec: dict[str, Any]) -> str:
    """'smollm2-135m', 'local:mine', 'hub:org/name@commit', as people write it."""
    model = spec["model"]
    if model["source"] == "hub":
        return f"hub:{model['name']}@{model['revision']}"
    return f"local:{model['name']}" if model["source"] == "local" else str(model["name"])


def _derived(spec: dict[str, Any]) -> dict[str, str]:
    return {"model": model_name(spec), "workload": str(spec["workload"]["name"])}


def _insert_variants(connection: Connection, experiment_id: str, variants: list[dict[str, Any]]) -> list[int]:
    if used := sorted({t["technique"] for v in variants for t in v["stack"]}):
        connection.execute(insert(ExperimentTechnique), [{"experiment_id": experiment_id, "technique": name} for name in used])
    rows = [
        {"experiment_id": experiment_id, "position": i, "name": v["name"], "stack": v["stack"], "baseline": v["baseline"]}
        for i, v in enumerate(variants)
    ]
    inserted = insert(Variant).returning(Variant.id, sort_by_parameter_order=True)
    return list(connection.execute(inserted, rows).scalars())
