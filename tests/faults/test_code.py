"""What the code of the product must not contain, read from its syntax trees: the calls by which foreign text becomes code or HTML."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from engine.settings import REPOSITORY

PACKAGES = ("db", "engine", "experiments", "dashboard")
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "jsonpickle"}
NAMES = {
    "eval", "exec", "compile", "torch.load", "os.system", "os.popen", "subprocess.getoutput", "yaml.unsafe_load", "yaml.full_load", "yaml.Loader",
    "yaml.UnsafeLoader", "yaml.FullLoader", "components.html", "components.v1.html", "st.html", "joblib.load",
}  # fmt: skip
FLAGS = {("unsafe_allow_html", True), ("unsafe_allow_javascript", True), ("shell", True), ("trust_remote_code", True), ("weights_only", False),
         ("allow_pickle", True)}  # fmt: skip
TEMPLATES = "apply_chat_template"
"""Nothing renders a template that came with a model."""
LAST = {name.rpartition(".")[2] for name in (*NAMES, TEMPLATES)}


def faults(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from (f"import {name}" for name in names if name.partition(".")[0] in MODULES)
        elif isinstance(node, ast.Call):
            for keyword in node.keywords:
                if isinstance(keyword.value, ast.Constant) and (keyword.arg, keyword.value.value) in FLAGS:
                    yield f"{keyword.arg}={keyword.value.value}"
        elif isinstance(node, ast.Attribute | ast.Name):
            if (node.attr if isinstance(node, ast.Attribute) else node.id) in LAST and ((name := ast.unparse(node)) in NAMES or name.endswith(TEMPLATES)):
                yield name
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(value, ast.Constant) and (key.value, value.value) in FLAGS:
                    yield f"{key.value!r}: {value.value}"


@pytest.mark.case("T32", "T28", "T31")
def test_nothing_makes_code_or_html_of_text() -> None:
    files = [path for package in PACKAGES for path in (REPOSITORY / package).rglob("*.py")]
    assert len(files) > 100
    assert {f"{path.relative_to(REPOSITORY)}: {fault}" for path in files for fault in faults(ast.parse(path.read_text()))} == set()


@pytest.mark.case("T32")
@pytest.mark.parametrize("planted", [
    "import pickle", "from dill import loads", "eval('1')", "torch.load(path)", "st.markdown(x, unsafe_allow_html=True)", "run('ls', shell=True)",
    "options = {'trust_remote_code': True}", "tokenizer.apply_chat_template(x)", "components.html(x)", "torch.load(f, weights_only=False)",
    "yaml.load(text, yaml.Loader)",
])  # fmt: skip
def test_what_is_planted_is_found(planted: str) -> None:
    assert list(faults(ast.parse(planted)))
