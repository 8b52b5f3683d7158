"""What is imported is stored once, shown with the rest, and never takes part in a verdict, a front or a recommendation."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from db import listing, queries
from db.filter import Filter
from engine.analysis import IMPORTED, rows, summary
from engine.answers import advisor
from engine.answers.claim_verdicts import Evidence, evidence
from engine.answers.claims import claims
from engine.answers.comparison import side_by_side
from engine.bundle import load_bundle, save_bundle
from engine.comparability import differences
from engine.export.files import FORMATS, Source
from engine.export.files import content as export_content
from engine.imports import tools
from engine.record import imported_from
from engine.settings import data_dir
from engine.tradeoff import wide
from engine.variant_ref import VariantRef
from tests.command_line import engine, program
from tests.engine.imports.test_readers import FILES, NAMES, content
from tests.records import POINT, build_record

DRAWN = {"better", "worse", "equivalent", "no difference shown", "too few rounds", "baseline", "not paired"}


def foreign(name: str = "optimum_benchmark_gpu.json") -> dict[str, Any]:
    return tools.read_file(name, content(name))


def measured() -> dict[str, Any]:
    """Measured here, at the very point that the imported file has, five rounds of it, four times as slow."""
    record = build_record({
        n: {"ttft_seconds": [0.2 * f] * 5, "decode_tokens_per_second": [7 / f] * 5, "peak_memory_bytes": [5e9 * f] * 5} for n, f in {"a": 1, "b": 2}.items()
    })  # fmt: skip
    for run in record["runs"]:
        for m in run["measurements"]:
            m["point"] = {"batch": 1, "prompt_tokens": 256, "new_tokens": 64}
    return record


@pytest.mark.parametrize("name", NAMES)
def test_no_row_of_it_has_a_verdict(name: str) -> None:
    record = foreign(name)
    found = rows(record)
    assert found and {r.verdict for r in found} == {IMPORTED}
    assert all(r.ratio is None and r.ci_low is None and str(imported_from(record)) in str(r.reason) for r in found)
    assert all(r.value is not None for r in found), "nothing that the tool does not measure is said to be missing"


@pytest.mark.parametrize("base", ["imported", "measured"])
def test_beside_measured_variants_nobody_gets_a_verdict_through_it(base: str) -> None:
    own, theirs = measured(), foreign()
    refs = [VariantRef(r["experiment"]["id"], i) for r, n in ((own, 2), (theirs, 1)) for i in range(n)]
    found = side_by_side({r["experiment"]["id"]: r for r in (own, theirs)}, refs, refs[-1] if base == "imported" else refs[0])
    assert found is not None
    of = {c.ref: [r for r in found.rows if r.position == i and r.value is not None] for i, c in enumerate(found.columns)}
    assert {r.verdict for r in of[refs[-1]]} == {IMPORTED} and all(r.ratio is None for r in of[refs[-1]])
    against_it = {r.verdict for ref in refs[:2] for r in of[ref]}
    assert not against_it & DRAWN if base == "imported" else against_it & DRAWN, against_it
    assert any("measured by" in d.key for d in found.differing), "the banner says so"


def test_two_files_of_one_tool_are_not_compared_either() -> None:
    first = foreign("optimum_benchmark.json")
    changed = json.loads(content("optimum_benchmark.json"))
    changed["config"]["name"] = "again"
    second = tools.read_file("other.json", json.dumps(changed).encode())
    assert [d.key for d in differences(first, second)] == ["measured by"]


def test_it_neither_is_on_a_front_nor_keeps_others_off_it() -> None:
    own, theirs = measured(), foreign()
    refs = [VariantRef(own["experiment"]["id"], 0), VariantRef(own["experiment"]["id"], 1), VariantRef(theirs["experiment"]["id"], 0)]
    found = side_by_side({r["experiment"]["id"]: r for r in (own, theirs)}, refs)
    assert found is not None
    points = wide(found.frame(), "peak_memory_bytes", "ttft_seconds").set_index("variant")
    assert points.loc["llama_nf4 (imported)", "x"] < points.loc["a", "x"] and points.loc["llama_nf4 (imported)", "y"] < points.loc["a", "y"]
    assert points["on_front"].to_dict() == {"a": True, "b": False, "llama_nf4 (imported)": False}


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_recommended_or_claimed_from_it(name: str) -> None:
    record = foreign(name)
    with pytest.raises(ValueError, match="what is imported is not recommended"):
        advisor.read(record)
    assert all(evidence(c, record, own=True) == Evidence() for c in claims())


@pytest.mark.parametrize("name", NAMES)
def test_it_is_stored_once_whatever_the_file_is_called(db: Engine, name: str) -> None:
    experiment_id, new = tools.store(db, name, content(name))
    assert new and tools.store(db, f"renamed {name}", content(name)) == (experiment_id, False)
    assert queries.count_experiments(db) == 1
    stored = queries.record(db, experiment_id, samples="all")
    assert stored is not None and imported_from(stored) == imported_from(foreign(name))
    assert [r.value for r in rows(stored)] == [r.value for r in rows(foreign(name))]
    assert [r.n_samples for r in rows(stored)] == [r.n_samples for r in rows(foreign(name))]
    assert summary(stored)["verdict"].eq(IMPORTED).all()
    (row,) = listing.experiments(db, Filter()).to_dict("records")
    assert row["source"] == "imported" and "(imported from " in row["title"]


@pytest.mark.parametrize("name", NAMES)
def test_every_file_that_it_can_be_had_as_says_so(name: str) -> None:
    for file in FORMATS:
        assert b"imported" in export_content(file, Source(foreign(name)))
    (*_, last) = csv.DictReader(io.StringIO(export_content("csv", Source(foreign(name))).decode("utf-8-sig")))
    assert last["verdict"] == IMPORTED and last["ratio"] == "" and last["value"]


def test_what_is_refused_leaves_nothing_behind(db: Engine) -> None:
    spoilt = content("guidellm.json").replace(b'"median": ', b'"median": null, "was": ').replace(b'"successful": [', b'"some": [')
    with pytest.raises(ValueError, match="it has no 'median'"):
        tools.store(db, "guidellm.json", spoilt)
    assert queries.count_experiments(db) == 0


def test_it_travels_as_a_bundle(db: Engine, tmp_path: Path) -> None:
    path = tmp_path / "bundle.json"
    record = foreign("lm_eval.json")
    save_bundle(record, path)
    assert load_bundle(path) == record
    record["experiment"]["spec"]["imported"]["sha256"] = "x"
    save_bundle(record, path)
    with pytest.raises(ValueError, match="experiment.spec: imported.sha256: "):
        load_bundle(path)
    record["experiment"]["spec"]["imported"] = None
    save_bundle(record, path)
    with pytest.raises(ValueError, match="experiment.spec: imported: "):
        load_bundle(path)


def test_the_command_line_imports_a_file_of_another_tool(own_data: Path, tmp_path: Path) -> None:
    first = program("import", str(FILES / "lm_eval.json"), "--json")
    assert first.returncode == 0, first.stderr
    said = json.loads(first.stdout)
    assert said["new"] is True and said["link"].endswith(f"/experiment?id={said['id']}")
    again = engine("import", str(FILES / "lm_eval.json"))
    assert again.stdout.strip() == said["link"] and "lm_eval.json was imported before" in again.stderr


def test_the_command_line_refuses_in_one_line_and_makes_no_database(own_data: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text('{"numbers": [1, 2]}')
    out = engine("import", str(tmp_path / "mine.json"))
    assert (out.returncode, out.stdout) == (2, "") and "mine.json: no tool is known" in " ".join(out.stderr.split())
    assert not data_dir().exists()


def test_the_point_of_a_measured_record_is_what_the_tests_above_compare_with() -> None:
    assert set(POINT) == {"batch", "prompt_tokens", "new_tokens"} == set(next(r.point for r in rows(foreign()) if r.metric == "ttft_seconds"))
