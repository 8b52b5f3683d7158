"""The table of fault cases is true: each has a test or says why not, and no test names a case that is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.cases import CASES, causing_tests


def test_every_case_is_in_the_table() -> None:
    assert list(CASES) == [f"T{number:02}" for number in range(1, 46)]


@pytest.mark.parametrize("name", CASES)
def test_a_case_is_tested_or_says_why_not(name: str) -> None:
    assert causing_tests().get(name) or CASES[name].left


def test_markers_name_cases_that_there_are() -> None:
    assert set(causing_tests()) <= set(CASES)


def test_markers_are_found_on_functions_parameters_and_files(tmp_path: Path) -> None:
    marked = "@pytest.mark.case('T01', 'T02')\ndef test_a(): ...\n\n@pytest.mark.parametrize('x', [pytest.param(1, marks=pytest.mark.case('T03'))])\n"
    (tmp_path / "test_some.py").write_text(marked + "def test_b(x): ...\n\ndef test_c(): ...\n")
    (tmp_path / "test_all.py").write_text("pytestmark = pytest.mark.case('T01')\n\ndef helper(): ...\n\ndef test_d(): ...\n")
    here = tmp_path.name
    assert causing_tests(tmp_path) == {
        "T01": [f"{here}/test_all.py::test_d", f"{here}/test_some.py::test_a"], "T02": [f"{here}/test_some.py::test_a"],
        "T03": [f"{here}/test_some.py::test_b"],
    }  # fmt: skip
