"""The table of all variants: the same values as each experiment's own file, whatever happened to its runs, and a fixed number of statements."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from db import queue
from db.records import import_record
from engine.export.files import Source, content
from engine.export.formats import csv_chunks
from engine.export.many import decisive_metrics, many
from engine.imports.tools import read_file
from engine.references import import_references
from tests.dashboard.conftest import classified, finished
from tests.engine.export.records import read
from tests.records import build_record


def link(experiment_id: str) -> str:
    return f"http://lab/experiment?id={experiment_id}"


def table(db: Engine, ids: list[str]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO("".join(csv_chunks(many(db, ids, link))))))


def disturbed(detail: str, value: Any, rounds: int = 1) -> dict[str, Any]:
    record = finished(f"{detail} in {rounds}", f"disturbed-{detail}-{rounds}")
    speeds = [run for run in record["runs"] if run["kind"] == "speed" and run["variant"] < 2]
    for run in speeds:
        if run["round"] < rounds:
            run["details"] = {detail: value}
    return record


DRIFT = [{"metric": "ttft_seconds", "point": {"batch": 1, "prompt_tokens": 128, "new_tokens": 64}, "change": 0.2}]
RECORDS: dict[str, Callable[[], dict[str, Any]]] = {
    "finished": finished, "classifier": classified,
    "contended": lambda: disturbed("contended", "2 other processes on the GPU"), "throttled": lambda: disturbed("throttled", "GPU too hot", 2),
    "drifts once": lambda: disturbed("drifting", DRIFT), "drifts mostly": lambda: disturbed("drifting", DRIFT, 4),
    "all contended": lambda: disturbed("contended", "others", 5),
    "two rounds": lambda: build_record({"a": {"ttft_seconds": [1.0, 3.0], "ttft_seconds@4": [9.0, 9.0]}}, experiment_id="two-rounds"),
}  # fmt: skip


@pytest.mark.parametrize("name", RECORDS)
def test_values_status_and_provenance_are_those_of_its_own_file(db: Engine, name: str) -> None:
    record = RECORDS[name]()
    record["runs"][0]["details"] = (record["runs"][0]["details"] or {}) | {"code": "c" * 40}
    experiment = import_record(db, record, "imported")
    record["experiment"]["source"] = "imported"
    own = read(content("variants", Source(record, link(experiment))))
    found = table(db, [experiment])
    assert len(found) == len(own) == len(record["variants"])
    for of_all, alone in zip(found, own, strict=True):
        compared = {key: value for key, value in alone.items() if key in of_all}
        assert {key: of_all[key] for key in compared} == compared
        assert {k for k in of_all if k not in alone and of_all[k]} == set(), "what its own file does not have was not measured"


def test_the_projects_own_results(db: Engine) -> None:
    from db import queries

    import_references(db)
    ids = sorted(i for i in _ids(db))
    for experiment in ids:
        record = queries.record(db, experiment)
        assert record is not None
        own = {r["variant_id"]: r for r in read(content("variants", Source(record, link(experiment))))}
        for row in table(db, [experiment]):
            measured = {name: float(row[name]) for name in decisive_metrics() if row[name]}
            assert measured == pytest.approx({name: float(own[row["variant_id"]][name]) for name in measured}, rel=1e-12)
            assert (row["status"], row["workload_hash"], row["torch"]) == tuple(own[row["variant_id"]][k] for k in ("status", "workload_hash", "torch"))


def _ids(db: Engine) -> list[str]:
    from db.filter import Filter
    from db.listing import experiments

    return list(experiments(db, Filter(size=None))["id"])


def test_what_another_tool_measured_says_so(db: Engine) -> None:
    file = Path(__file__).parents[1] / "imports" / "files" / "lm_eval.json"
    (row,) = table(db, [import_record(db, read_file(file.name, file.read_bytes()), "imported")])
    assert row["measured_by"].startswith("lm-eval") and row["stack"] == ""


def test_the_order_is_that_asked_for_and_what_is_gone_is_left_out(db: Engine) -> None:
    first, second = import_record(db, finished(), "imported"), import_record(db, classified(), "imported")
    assert [r["experiment_id"] for r in table(db, [second, "gone", first])] == [second] * 2 + [first] * 3
    queue.delete_experiment(db, first)
    assert {r["experiment_id"] for r in table(db, [first, second])} == {second}
    assert table(db, []) == []


def test_statements_do_not_grow_with_the_experiments(db: Engine) -> None:
    ids = [import_record(db, finished(f"number {n}", f"experiment-{n}"), "imported") for n in range(4)]
    statements: list[str] = []
    event.listen(db, "before_cursor_execute", lambda c, cursor, statement, *_: statements.append(statement))
    table(db, ids[:1])
    one, statements[:] = len(statements), []
    assert len(table(db, ids)) == 12 and len(statements) == one
