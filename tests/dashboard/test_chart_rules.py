"""Rules that hold for every chart, there now or to come: colours in one file, words and a table for each, none in what polls."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.settings import REPOSITORY

DASHBOARD = REPOSITORY / "dashboard"
FILES = sorted(DASHBOARD.rglob("*.py"))
CHARTS = [p for p in sorted((DASHBOARD / "charts").glob("*.py")) if p.name not in ("__init__.py", "style.py", "labels.py")]
COLOUR = re.compile(r"#[0-9a-fA-F]{3}(?:[0-9a-fA-F]{1,5})?|(?:rgb|hsl|hsv|oklch)a?\(.*", re.DOTALL)
COLOUR_ARGUMENT = re.compile(r"(?:\w*_)?(?:b|fill|font|fg|line|paper_bg|plot_bg|title_font_|grid)?colou?r")
OF_STREAMLIT = {"normal", "inverse", "off", "auto"}
"""What Streamlit's colour arguments take that is no colour."""
DRAWS = re.compile(r"(?:plotly|altair|vega_lite|pydeck|graphviz|line|bar|area|scatter|bokeh)_chart|pyplot|chart")


def colours(tree: ast.AST) -> list[str]:
    """Colours that are written out: hex and functional notation anywhere, names where an argument is one of colour."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and COLOUR.fullmatch(node.value.strip()):
            found.append(node.value)
        if isinstance(node, ast.keyword) and node.arg and COLOUR_ARGUMENT.fullmatch(node.arg):
            value = node.value.value if isinstance(node.value, ast.Constant) else None
            if isinstance(value, str) and value not in OF_STREAMLIT:
                found.append(value)
    return found


@pytest.mark.parametrize("path", [p for p in FILES if p != DASHBOARD / "charts" / "style.py"], ids=lambda p: str(p.relative_to(DASHBOARD)))
def test_colours_are_in_one_file(path: Path) -> None:
    assert colours(ast.parse(path.read_text())) == []


@pytest.mark.parametrize("code", [
    'A = "#D55E00"', 'A = {"x": ("#fff", "")}', 'go.Bar(marker=dict(color="rgb(1, 2, 3)"))', 'f(fillcolor="red")', 'f(color="teal")',
])  # fmt: skip
def test_a_colour_that_is_written_out_is_found(code: str) -> None:
    assert colours(ast.parse(code))


def functions(tree: ast.Module) -> dict[str, ast.FunctionDef]:
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("path", CHARTS, ids=lambda p: p.stem)
def test_a_file_of_charts_has_words_and_a_table_for_them(path: Path) -> None:
    there = functions(ast.parse(path.read_text()))
    figures = [name for name, f in there.items() if not name.startswith("_") and f.returns is not None and ast.unparse(f.returns) == "go.Figure"]
    texts = [name for name in there if name.startswith("describe")]
    tables = [name for name in there if name.endswith("table")]
    assert len(texts) >= len(figures) > 0
    assert tables or path.stem == "plan", "the planner's table says more than the bar, and is made from the answer itself"


def drawn_without_twin() -> Iterator[str]:
    """Charts that do not go through show.chart, which asks for words and a table; and calls of it that leave them out."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                where = f"{path.relative_to(DASHBOARD)}:{node.lineno}"
                if ast.unparse(node.func) == "show.chart":
                    if len(node.args) + len([k for k in node.keywords if k.arg == "twin"]) < 4:
                        yield where
                elif DRAWS.fullmatch(node.func.attr) and ast.unparse(node.func.value) == "st" and path.name != "show.py":
                    yield where


def test_every_chart_has_words_and_a_table() -> None:
    assert list(drawn_without_twin()) == []


class Calls:
    """Which functions of the dashboard a function can reach, by names; what is handed on as a value counts as called."""

    def __init__(self, sources: dict[str, str]) -> None:
        self.trees = {name: ast.parse(text) for name, text in sources.items()}
        self.bodies = {f"{module}.{name}": node for module, tree in self.trees.items() for name, node in functions(tree).items()}

    def polling(self) -> list[str]:
        """The functions that a fragment runs again and again by itself."""
        found = []
        for module, tree in self.trees.items():
            for node in ast.walk(tree):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Call) and self._polls(node.func):
                    found += [f"{module}.{ast.unparse(a)}" for a in node.args[:1]]
                if isinstance(node, ast.FunctionDef) and any(isinstance(d, ast.Call) and self._polls(d) for d in node.decorator_list):
                    found.append(f"{module}.{node.name}")
        return found

    @staticmethod
    def _polls(call: ast.Call) -> bool:
        return ast.unparse(call.func) in ("st.fragment", "fragment") and any(k.arg == "run_every" for k in call.keywords)

    def drawing(self, start: str) -> list[str]:
        """The functions reached from one that draw a chart themselves."""
        seen, todo = {start}, [start]
        while todo:
            name = todo.pop()
            for reached in self._uses(name):
                if reached in self.bodies and reached not in seen:
                    seen.add(reached)
                    todo.append(reached)
        return sorted(n for n in seen if n in self.bodies and self._draws(self.bodies[n]))

    def _uses(self, name: str) -> Iterator[str]:
        module = name.rpartition(".")[0]
        for node in ast.walk(self.bodies[name]) if name in self.bodies else ():
            if isinstance(node, ast.Name):
                yield f"{module}.{node.id}"
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                yield f"{node.value.id}.{node.attr}"

    @staticmethod
    def _draws(body: ast.FunctionDef) -> bool:
        calls = (node.func for node in ast.walk(body) if isinstance(node, ast.Call))
        return any(isinstance(f, ast.Attribute) and DRAWS.fullmatch(f.attr) and ast.unparse(f.value) in ("st", "show") for f in calls)


def test_nothing_that_polls_draws_a_chart() -> None:
    """A chart that is drawn anew every two seconds loses the reader's zoom, and sends itself again each time."""
    calls = Calls({p.stem if p.parent.name != "views" else f"views_{p.stem}": p.read_text() for p in FILES if p.name != "__init__.py"})
    polling = calls.polling()
    assert polling, "the queue polls"
    assert {name: drawing for name in polling if (drawing := calls.drawing(name))} == {}


@pytest.mark.parametrize("live", [
    "def page():\n    st.fragment(run_every=2)(_page)()\ndef _page():\n    parts.body()",
    "@st.fragment(run_every=2.0)\ndef _page():\n    st.button('x', on_click=parts.body)",
])  # fmt: skip
def test_a_chart_that_polls_would_be_found(live: str) -> None:
    calls = Calls({"live": live, "parts": "def body():\n    show.chart(1, 2, 3, 4)", "other": "def body():\n    st.caption('')"})
    assert [calls.drawing(name) for name in calls.polling()] == [["parts.body"]]
