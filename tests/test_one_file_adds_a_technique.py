"""One new file is all that a technique takes: shown in a copy of the packages in which one more file lies.

Form, catalogue (its explanation is a second file), legend, CSV and the contract test are looked at in processes of their own, which know
the copy alone.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engine.settings import REPOSITORY

FILE = '''"""Rounds nothing: a technique that a test adds."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from engine.measurement import Evidence
from engine.technique import Session, Slot, Technique


class Sparkle(Technique):
    """Scales every bias-free weight up and down again."""

    name: ClassVar[str] = "sparkle"
    label: ClassVar[str] = "Sparkling weights"
    family: ClassVar[str] = "decoration"
    slot: ClassVar[Slot] = Slot.WEIGHTS
    reference: ClassVar[str] = "https://example.org/sparkle"
    costs: ClassVar[str] = "A moment at the start."

    shine: float = Field(2.0, gt=1, le=64, description="Power of two that the weights are scaled by")

    def apply(self, session: Session) -> None:
        for parameter in session.model.parameters():
            parameter.data = parameter.data * self.shine / self.shine
        session.model.shine = self.shine

    def evidence(self, session: Session) -> Evidence:
        shine = getattr(session.model, "shine", None)
        return Evidence({"shine": shine}, None if shine == self.shine else "it does not shine")
'''
SPEC = """
title: One more technique
model: tiny-llama
rounds: 1
baseline: plain
workload: {name: generation, options: {prompt_tokens: 8, new_tokens: 4, repeats: 1, max_warmups: 1}}
variants: [{name: plain, stack: []}, {stack: [{technique: sparkle, options: {shine: 4}}]}]
"""
FORM = """
from streamlit.testing.v1 import AppTest
page = AppTest.from_file("dashboard/main.py", default_timeout=120)
page.run()
page.switch_page("views/new_experiment.py").run()
assert not page.exception, page.exception
assert page.checkbox(key="new_use_sparkle").label == "Sparkling weights"
page.checkbox(key="new_use_sparkle").check().run()
assert page.number_input(key="new_technique_sparkle.shine").value == 2.0
assert "##### Decoration" in [m.value for m in page.markdown]
from dashboard.charts.style import family_of, look, _FIXED
entry = look(family_of([{"technique": "sparkle"}]))
assert entry.label == "decoration" and entry != _FIXED["other"], entry
"""


CATALOGUE = """
from streamlit.testing.v1 import AppTest
page = AppTest.from_file("dashboard/main.py", default_timeout=120)
page.query_params["technique"] = "sparkle"
page.run()
page.switch_page("views/catalogue.py").run()
assert not page.exception, page.exception
assert page.title[0].value == "Sparkling weights"
said = [m.value for m in page.markdown]
assert "It shines: $w s / s = w$." in said, said
assert any("A moment at the start" in m for m in said)
(options,) = [f.value for f in page.dataframe if "Option" in f.value]
assert options.iloc[0].to_list() == ["shine", "a number above 1 to 64", "2.0", "Power of two that the weights are scaled by"], options
del page.query_params["technique"]
page.run()
assert "Decoration" in [h.value for h in page.header]
assert "Sparkling weights" in [link.proto.label for link in page.get("page_link")]
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    root = tmp_path / "copy"
    for package in ("engine", "db", "dashboard", "experiments", "tests"):
        shutil.copytree(REPOSITORY / package, root / package, ignore=shutil.ignore_patterns("__pycache__", "reference"))
    for path in (REPOSITORY / "pyproject.toml", REPOSITORY / "LICENSE", *REPOSITORY.glob("requirements*.txt")):
        shutil.copy(path, root)
    package = root / "experiments" / "temporary"
    package.mkdir()
    (package / "__init__.py").write_text('"""A package that a test adds."""\n')
    (package / "sparkle.py").write_text(FILE)
    (package / "sparkle.md").write_text("It shines: $w s / s = w$.")
    return root


def python(root: Path, *arguments: str) -> str:
    environment = os.environ | {"LAB_DATA": str(root / "data"), "LAB_LOCKS": str(root / "locks"), "PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, *arguments], cwd=root, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_catalogue_run_and_csv_know_it(copy: Path) -> None:
    (row,) = [t for t in json.loads(python(copy, "-m", "engine", "techniques", "--json")) if t["name"] == "sparkle"]
    assert (row["label"], row["family"], row["slot"], row["available"]) == ("Sparkling weights", "decoration", "weights", True)
    assert "shine" in json.dumps(row["options"])
    (copy / "spec.yaml").write_text(SPEC)
    result = json.loads(python(copy, "-m", "engine", "run", "spec.yaml", "--json").splitlines()[-1])
    shiny = result["variants"][1]
    assert (shiny["name"], shiny["status"]) == ("sparkle(shine=4)", "succeeded")
    assert shiny["evidence"]["sparkle"]["facts"] == {"shine": 4}
    table = list(csv.DictReader(io.StringIO(python(copy, "-m", "engine", "export", result["experiment"]["id"], "--format", "csv"))))
    assert any(r["variant"] == "sparkle(shine=4)" and r["metric"] == "decode_tokens_per_second" and float(r["value"]) > 0 for r in table)


def test_form_legend_and_catalogue_with_its_explanation_know_it(copy: Path) -> None:
    """One process looks at both pages: the line that fails is in what it says."""
    python(copy, "-c", FORM + CATALOGUE)


def test_the_contract_test_takes_it_in(copy: Path) -> None:
    tests = ["tests/experiments/test_contract.py", "tests/experiments/test_numerics.py"]
    said = python(copy, "-m", "pytest", "-q", "-n0", "-k", "sparkle or Sparkle", "-p", "no:cacheprovider", "-rA", *tests)
    for name in ("test_card_is_complete", "test_technique_card", "test_applies_proves_and_keeps_the_function", "test_sabotaged_technique_is_found_out"):
        assert f"{name}[sparkle]" in said
