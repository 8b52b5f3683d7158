"""Markdown of verdicts and reports, read back by a parser: tables that stay tables, text that stays text."""

from __future__ import annotations

import re

import pytest
from markdown_it import MarkdownIt

from dashboard.report.markdown import escape, report, verdicts_of
from dashboard.report.options import Options
from engine.export.files import Source
from tests.dashboard.conftest import HOSTILE, finished

LINK = "http://127.0.0.1:8501/experiment?id=finished-experiment-01"
PARSER = MarkdownIt("commonmark").enable("table")


def rendered(text: str) -> str:
    return str(PARSER.render(text))


def test_the_table_for_a_pull_request() -> None:
    text = verdicts_of([Source(finished(), LINK)])
    page = rendered(text)
    assert page.count("<tr>") == 4 and "<td>60 tok/s · +100 % · ▲ better</td>" in page
    assert "<td>⊘ did not fit</td>" in page and "<strong>An experiment</strong>" in page
    assert "smollm2-135m on a test machine; torch 2.13.0; workload generation (" in page and text.rstrip().endswith(LINK)


@pytest.mark.parametrize("hostile", [HOSTILE, "a|b|c", "<img src=x onerror=alert(1)>", "`code` _em_ #1 ~~gone~~", "new\nline | cell", "</table>"])
def test_text_of_others_stays_text(hostile: str) -> None:
    record = finished()
    record["experiment"]["title"] = hostile
    record["variants"][1]["name"] = hostile
    page = rendered(report([Source(record, LINK)], Options(title=hostile, note=hostile)))
    assert set(re.findall(r"<(\w+)", page)) <= {"h1", "h2", "p", "strong", "table", "thead", "tbody", "tr", "th", "td", "blockquote", "pre", "code"}
    rows = [row.count("<td") for row in re.findall(r"<tr>\n<td.*?</tr>", page, re.DOTALL)]
    usual = rendered(report([Source(finished(), LINK)], Options(title="t", note="t")))
    assert rows == [row.count("<td") for row in re.findall(r"<tr>\n<td.*?</tr>", usual, re.DOTALL)], "no cell more"


def test_nobody_is_called() -> None:
    assert "@everybody" not in escape("@everybody") and escape("@ home") == "@ home"


def test_a_report_has_a_table_for_every_chart() -> None:
    page = rendered(report([Source(finished(), LINK), Source(finished("Another", "b"))], Options(title="Both", note="one\ntwo")))
    assert "<h1>Both</h1>" in page and page.count("<h2>") == 2 and "<blockquote>" in page
    assert page.count("<h3>Trade-off</h3>") == 2 and page.count("<table>") >= 10
    assert "cuda: tried to allocate 20 GiB" in page
