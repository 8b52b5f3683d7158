"""`claims` on the command line: the contract with other programs, own results beside the shipped ones, and no database where none is needed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from db.records import import_record
from db.session import connect, migrate
from engine.answers.claims import claims
from engine.settings import REPOSITORY, data_dir, database_url
from tests.command_line import engine
from tests.engine.answers.claim_records import record

KEYS = {"id", "statement", "conditions", "published", "measured", "ci", "verdict", "runs"}


def test_reference_results_need_no_database_and_no_package_for_one(own_data: Path) -> None:
    blocked = ("import sys; sys.modules.update(dict.fromkeys(('sqlalchemy', 'alembic', 'streamlit', 'pandas')));"
               "sys.argv = ['engine', 'claims', '--reference', '--json']; from engine.cli import app; app(standalone_mode=False);"
               "assert 'torch' not in sys.modules and 'transformers' not in sys.modules")  # fmt: skip
    out = subprocess.run([sys.executable, "-c", blocked], cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert out.returncode == 0, out.stderr
    rows = json.loads(out.stdout)
    assert [r["id"] for r in rows] == [c.id for c in claims()] and all(r.keys() >= KEYS for r in rows)
    assert all((r["measured"] is None) == (r["runs"] == []) for r in rows)
    assert sum(bool(r["runs"]) and r["verdict"] in ("reproduced", "compatible", "not reproduced") for r in rows) >= 18
    assert not own_data.exists()


def test_own_results_are_there_by_default_and_what_cannot_be_read_is_named() -> None:
    data_dir().mkdir(parents=True)
    db = connect(database_url())
    migrate(db)
    import_record(db, record("weight_bytes", [5e8], [4e8], stacks=(["float32"], ["bfloat16"]), experiment_id="own-experiment-00001"), "local")
    import_record(db, record("weight_bytes", [5e8], [2.5e8], stacks=(["float32"], ["bfloat16"]), experiment_id="a-reference-000001"), "reference")
    later = record("weight_bytes", [5e8], [4e8], stacks=(["float32"], ["bfloat16"]), experiment_id="of-another-version-1")
    later["experiment"]["spec"]["workload"] = {"name": "generation", "options": {"from_a_later_version": 1}}
    import_record(db, later, "local")
    db.dispose()
    out = engine("claims", "--json")
    assert out.returncode == 0, out.stderr
    assert "left out: of-another-version-1: " in out.stderr and "from_a_later_version" in out.stderr
    row = next(r for r in json.loads(out.stdout) if r["id"] == "llama-7b-16-bit-halves")
    own = [r for r in row["runs"] if r["own"]]
    assert [(r["experiment"], r["measured"], r["verdict"]) for r in own] == [("own-experiment-00001", pytest.approx(1.25), "not reproduced")]
    assert own[0]["link"].endswith("/experiment?id=own-experiment-00001")
    assert "a-reference-000001" not in {r["experiment"] for r in row["runs"]}, "references are read from their files"
    assert row["hardware"][0] == {"hardware": "AMD EPYC", "own": True, "verdict": "not reproduced", "measured": pytest.approx(1.25), "ci": None}
    assert row["verdict"] == "compatible", "here it is not so, on the others it is"


def test_people_get_a_table_and_a_count() -> None:
    out = engine("claims", "--reference")
    assert out.returncode == 0, out.stderr
    assert "amp-halves-memory" in out.stdout and "NVIDIA H200" in out.stdout
    counts = out.stdout.splitlines()[-1]
    assert "not reproduced" in counts and sum(int(part.split()[0]) for part in counts.split(", ")) == len(claims())
