"""Explanations are found by name, belong to something, and are Markdown whose formulas are closed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.explanations import explanation
from engine.registry import discover
from engine.settings import REPOSITORY

KNOWN = {**discover().techniques, **discover().workloads}
FILES = sorted((REPOSITORY / "experiments").glob("*/*.md"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_a_file_belongs_to_what_it_is_named_after(path: Path) -> None:
    assert path.stem in KNOWN and explanation(KNOWN[path.stem]) == path.read_text()


@pytest.mark.parametrize("name", sorted(discover().techniques))
def test_the_projects_own_techniques_are_all_explained(name: str) -> None:
    assert explanation(KNOWN[name])


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_it_is_plain_markdown(path: Path) -> None:
    text = path.read_text()
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    formulas = re.sub(r"\$\$.*?\$\$", "", prose, flags=re.DOTALL)
    assert "$$" not in formulas and formulas.count("$") % 2 == 0, "every formula is closed"
    assert not re.search(r"<\w|^#", formulas, flags=re.MULTILINE), "no HTML, and no heading: the page has one"
    for block in re.findall(r"\$\$.*?\$\$|\$[^$]+\$", prose, flags=re.DOTALL):
        assert block.count("{") == block.count("}") and len(re.findall(r"\\left\b", block)) == len(re.findall(r"\\right\b", block))


def test_one_without_an_explanation_has_none(tmp_path: Path) -> None:
    class Plain(discover().techniques["kv_cache"]):  # type: ignore[misc]
        name = "plain_of_a_test"

    assert explanation(Plain) is None
