"""The fault cases that the product is built against, and what of each is not tested and why.

Which tests cause a case is said by the tests themselves, `@pytest.mark.case("T07")`; test_cases.py keeps both sides honest.
`python -m tests.faults.cases` prints the table.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Case:
    """fault: what is caused. left: what of it no test causes, and why; a case without tests must say it."""

    fault: str
    left: str = ""


CASES = {
    "T01": Case("kill -9 of a scheduler in the middle of a run, another one alive"),
    "T02": Case("kill -9 of a scheduler, and its restart"),
    "T03": Case("a scheduler is stopped for longer than its lease, and wakes"),
    "T04": Case("everything is killed during a queue of 20 (a reboot)"),
    "T05": Case("12 processes claim 2,000 runs"),
    "T06": Case("double clicks; the same request at once; 50 forms", "50 browsers at once: 50 forms are 50 threads here, T33 has the sessions"),
    "T07": Case("schedulers whose clocks say 1999 and 2037"),
    "T08": Case("the database fails at the n-th statement, for every n"),
    "T09": Case("cancel of what waits, runs, has ended"),
    "T10": Case("a run leaves grandchildren, also in sessions of their own"),
    "T11": Case("a scheduler is killed while its child holds the interpreter's lock inside C"),
    "T12": Case("two schedulers for one device; an orphan that still holds it"),
    "T13": Case("somebody else's process on the GPU during a run", "on a GPU: `python -m tests.benchmarks.gpu_faults`; here the driver's answers are given"),
    "T14": Case("the host runs out of memory", "the kernel's own kill needs a memory limit that a container may not set: its counter is given"),
    "T15": Case("kill -9 of a child by a person"),
    "T16": Case("CUDA out of memory; a device-side assert, and the next run", "on a GPU: `python -m tests.benchmarks.gpu_faults`"),
    "T17": Case("a model larger than the free disk"),
    "T18": Case("the disk is full while a result, a log or the database is written"),
    "T19": Case("the database is locked for 30 s while a run ends"),
    "T20": Case("the database is locked for longer than a page waits"),
    "T21": Case("PostgreSQL crashes in the middle of a run"),
    "T22": Case("kill -9 of a writer, 40 times"),
    "T23": Case("a database file that is text, zeroed, cut off, overwritten"),
    "T24": Case("a database that is empty, not writable, a folder, in a place that cannot be made"),
    "T25": Case("a database of an older release, and of a newer one"),
    "T26": Case("a migration fails half way; 8 processes make the schema at once"),
    "T27": Case("pickled weights, also under a safe name"),
    "T28": Case("a model that brings code; a chat template that reaches for Python", "templates: no workload renders any, which a test checks"),
    "T29": Case("model ids that are paths, addresses, tricks"),
    "T30": Case("a folder named like a hub id, a link out of the root, a hub that is away, gated, without the model"),
    "T31": Case("HTML, Markdown and links in every name that people write"),
    "T32": Case("unsafe calls in the code itself"),
    "T33": Case("50 sessions at once", "a measurement, no test: `python -m tests.benchmarks.load_sessions` prints the medians"),
    "T34": Case("foreign Origin, foreign Host, an upload without token, paths that climb"),
    "T35": Case("formulas in exported cells", "a byte order mark: files have none, so that pandas and DuckDB read the first column's name"),
    "T36": Case("migrations against the schema of the tables"),
    "T37": Case("NaN, infinity, 2^63, NUL, half characters, 10 MB in every field; a sort key that is SQL"),
    "T38": Case("a token in a log; an exception in a page", "that visitors get no traceback: a setting of Streamlit (showErrorDetails)"),
    "T39": Case("a Ray worker, node or dispatcher dies; its memory monitor; no Ray"),
    "T40": Case("links to what is missing, deleted, malformed, private; a visitor who writes"),
    "T41": Case("10,000 runs in the database"),
    "T42": Case("parameters beyond all bounds, by the form and past it"),
    "T43": Case("a child floods its output with 5 GB, prints bytes, ends without a result or with a broken one, crashes"),
    "T44": Case("a child hangs, or ignores signals"),
    "T45": Case("names in all scripts, of all lengths, equal after normalization", "two equal names are no conflict: titles are text, ids are the key"),
}


@cache
def causing_tests(folder: Path = TESTS) -> dict[str, list[str]]:
    """{case: ["file::function", ...]} by the markers on test functions, parameters and files in all tests; read without importing them."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in sorted(folder.rglob("test_*.py")):
        tree, name = ast.parse(path.read_text()), str(path.relative_to(folder.parent))
        for node in tree.body:
            if isinstance(node, ast.FunctionDef):
                for case in {c for decorator in node.decorator_list for c in _marked(decorator)}:
                    found[case].add(f"{name}::{node.name}")
            elif isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "pytestmark" for t in node.targets):
                for case in _marked(node.value):
                    found[case] |= {f"{name}::{f.name}" for f in tree.body if isinstance(f, ast.FunctionDef) and f.name.startswith("test_")}
    return {case: sorted(tests) for case, tests in found.items()}


def _marked(node: ast.AST) -> list[str]:
    """The arguments of every `pytest.mark.case(...)` in it."""
    calls = [n for n in ast.walk(node) if isinstance(n, ast.Call) and ast.unparse(n.func) == "pytest.mark.case"]
    return [ast.literal_eval(argument) for call in calls for argument in call.args]


def main() -> None:
    tests = causing_tests()
    print("| Case | Fault | Tests | Not tested |\n|---|---|---|---|")
    for name, case in CASES.items():
        print(f"| {name} | {case.fault} | {'<br>'.join(f'`{t}`' for t in tests.get(name, ()))} | {case.left} |")


if __name__ == "__main__":
    main()
