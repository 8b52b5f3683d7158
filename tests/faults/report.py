"""A pytest plugin for `make faults`: chooses every test that causes a case, and prints what became of each case."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

from tests.faults.cases import CASES

_outcomes: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
_NAME = "fault cases"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        cases = sorted({case for marker in item.iter_markers("case") for case in marker.args})
        item.user_properties.append((_NAME, cases))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" or report.outcome == "failed":
        database = next((name for name in ("sqlite", "postgresql") if name in report.nodeid.partition("[")[2]), "none or its own")
        for case in dict(report.user_properties).get(_NAME, ()):
            _outcomes[str(case)][database][report.outcome] += 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section(_NAME)
    for name, case in CASES.items():
        ran = [f"{database}: {', '.join(f'{n} {o}' for o, n in counts.items())}" for database, counts in sorted(_outcomes[name].items())]
        terminalreporter.line(f"{name}  {case.fault}: {'; '.join(ran) or 'nothing ran'}" + (f" (left: {case.left})" if case.left else ""))
