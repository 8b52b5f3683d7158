"""The shape of the tree: sizes of files, what a fresh interpreter loads, layers. A rule that a machine can check is kept here."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.settings import REPOSITORY

PACKAGES = ("db", "engine", "experiments", "dashboard")
LONGEST_FILE, LONGEST_FUNCTION, LONGEST_VIEW = 300, 40, 120
HEAVY = ("torch", "transformers", "accelerate", "bitsandbytes", "torchao", "engine.worker")
"""What only the child loads."""


def sources(*folders: str) -> list[Path]:
    found = [p.relative_to(REPOSITORY) for folder in folders for p in sorted((REPOSITORY / folder).rglob("*.py"))]
    assert found
    return found


def modules(folder: str) -> list[str]:
    return [".".join(p.with_suffix("").parts) for p in sources(folder) if p.name not in ("__init__.py", "__main__.py")]


def loaded_by(module: str, unwanted: tuple[str, ...], before: str = "pass") -> list[str]:
    """Which of the unwanted modules a fresh interpreter has after importing this one."""
    code = f"import json, sys; {before}; import {module}; print(json.dumps([m for m in {unwanted!r} if m in sys.modules]))"
    child = subprocess.run([sys.executable, "-c", code], check=False, cwd=REPOSITORY, capture_output=True, text=True)
    assert child.returncode == 0, child.stderr
    found: list[str] = json.loads(child.stdout.splitlines()[-1])
    return found


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse((REPOSITORY / path).read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", sources(*PACKAGES, "tests"), ids=str)
def test_a_file_can_be_read_in_one_sitting(path: Path) -> None:
    limit = LONGEST_VIEW if path.parts[:2] == ("dashboard", "views") else LONGEST_FILE
    assert len((REPOSITORY / path).read_text().splitlines()) <= limit


@pytest.mark.parametrize("path", [p for p in sources(*PACKAGES) if "migrations" not in p.parts], ids=str)
def test_a_function_fits_on_a_screen(path: Path) -> None:
    assert {f.name: f.end_lineno - f.lineno + 1 for f in functions(path) if f.end_lineno - f.lineno >= LONGEST_FUNCTION} == {}


@pytest.mark.parametrize("path", [p for p in sources(*PACKAGES, "tests") if p.name == "__init__.py"], ids=str)
def test_an_init_file_is_a_docstring(path: Path) -> None:
    body = ast.parse((REPOSITORY / path).read_text()).body
    assert len(body) == 1 and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)


@pytest.mark.parametrize("path", [p for p in sources(*PACKAGES, "tests") if p.name != "__init__.py"], ids=str)
def test_a_file_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse((REPOSITORY / path).read_text()))


@pytest.mark.parametrize("folder", PACKAGES)
def test_every_folder_of_code_is_a_package(folder: str) -> None:
    folders = {p.parent for p in sources(folder)}
    assert [f for f in folders if not (REPOSITORY / f / "__init__.py").is_file()] == []


ENGINE_WITHOUT_TORCH = ["scheduler", "api", "cli", "launch", "prepare", "registry", "executor", "foreground", "bundled", "doctor"]


@pytest.mark.parametrize("module", [f"engine.{m}" for m in ENGINE_WITHOUT_TORCH])
def test_torch_stays_in_the_child(module: str) -> None:
    assert loaded_by(module, HEAVY) == []


def test_what_the_catalogue_shows_needs_no_torch() -> None:
    use = "from engine import api; api.techniques(); api.workloads(); api.models(); api.presets()"
    assert loaded_by("engine.api", HEAVY, before=use) == []


def test_no_page_loads_torch() -> None:
    pages = [m for m in modules("dashboard") if m != "dashboard.app" and not m.startswith("dashboard.views.")]
    assert loaded_by(", ".join(pages), HEAVY) == []


@pytest.mark.parametrize("module", ["engine.worker", "engine.dequantize"])
def test_the_child_loads_neither_database_nor_pages(module: str) -> None:
    assert loaded_by(module, ("sqlalchemy", "alembic", "streamlit", "pandas", "plotly", "db")) == []


def test_what_stays_beside_measurements_is_small() -> None:
    unwanted = ("sqlalchemy", "pandas", "numpy", "pydantic", "streamlit", "plotly")
    assert loaded_by("engine.launch", unwanted) == []


def test_a_bundle_run_needs_no_database() -> None:
    blocked = "sys.modules.update(dict.fromkeys(('sqlalchemy', 'alembic', 'streamlit')))"
    assert loaded_by("engine.cli, engine.foreground", ("engine.scheduler",), before=blocked) == []


def test_layers() -> None:
    """The contracts are in pyproject.toml."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    child = subprocess.run(command, check=False, cwd=REPOSITORY, capture_output=True, text=True)
    assert child.returncode == 0, child.stdout + child.stderr
    assert "0 broken" in child.stdout


def test_the_contracts_notice_a_forbidden_import(tmp_path: Path) -> None:
    """A contract that cannot fail is none: each kind of broken rule is planted in a copy and must be reported."""
    for folder in PACKAGES:
        for path in sources(folder):
            target = tmp_path / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text((REPOSITORY / path).read_text())
    config = tmp_path / "pyproject.toml"
    config.write_text((REPOSITORY / "pyproject.toml").read_text())
    (tmp_path / "db" / "planted.py").write_text("import engine.settings\n")
    (tmp_path / "dashboard" / "planted.py").write_text("import torch\nimport experiments\n")
    (tmp_path / "experiments" / "planted.py").write_text("import sqlalchemy\n")
    with (tmp_path / "engine" / "shapes.py").open("a") as child_side:
        child_side.write("import pandas\nimport engine.answers.advisor\n")
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    child = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True)
    assert child.returncode == 1
    assert "Contracts: 0 kept, 5 broken" in child.stdout
