"""The report file: what it holds, that text of others stays text, and that it needs nothing from elsewhere. In a browser: tests/browser."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from dashboard.charts.style import LIGHT, look
from dashboard.report.content import SECTIONS
from dashboard.report.html import document
from dashboard.report.options import Options
from engine.bundle import load_bundle
from engine.export.files import Source
from engine.imports.tools import read_file
from engine.settings import REPOSITORY
from tests.dashboard.conftest import HOSTILE, finished

LINK = "http://127.0.0.1:8501/experiment?id=finished-experiment-01"
SCRIPT = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


class Page(HTMLParser):
    """Tags with their attributes, the words between them, and the scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts.append(data)
        elif self._inside != "style":
            self.words.append(data.strip())

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


def made(record: dict[str, Any] | None = None, **options: Any) -> Page:
    return Page("".join(document([Source(record or finished(), LINK)], Options(**options))))


def drawn(page: Page) -> list[list[dict[str, Any]]]:
    """The data of every chart."""
    found = [re.search(r'Plotly\.newPlot\(\s*"chart-\d+",\s*(\[.*?\}\]|\[\]),\s*\{"', s, re.DOTALL) for s in page.scripts]
    return [json.loads(m[1]) for m in found if m]


def test_verdict_words_charts_tables_and_provenance_are_there() -> None:
    page = made()
    words = "\n".join(page.words)
    for text in ("▲ better", "⊘ did not fit", "✖ failed", "cuda: tried to allocate 20 GiB", "a test machine", LINK, "torch", "2.13.0", "baseline: float32"):
        assert text in words, text
    charts = sum(attrs.get("class") == "plotly-graph-div" for _, attrs in page.tags)
    assert charts == len(drawn(page)) >= 2
    assert page.count("figure") == charts and page.count("table") >= charts + 3, "every chart has a table, and there are others"
    assert all(attrs["aria-label"] for tag, attrs in page.tags if tag == "figure")


def test_the_colours_are_those_of_families_and_the_template_is_light() -> None:
    page = made(load_bundle(REPOSITORY / "experiments" / "reference" / "smollm2-135m-h200.json"), sections=("trade-off",))
    (traces,) = drawn(page)
    marks = {trace["name"]: trace["marker"]["color"] for trace in traces if "marker" in trace}
    assert marks == {name: look(family).colour for name, family in (("precision", "precision"), ("several families", "combined"))} | {"baseline": LIGHT.text}
    layout = next(s for s in page.scripts if "chart-1" in s)
    assert f'"paper_bgcolor":"{LIGHT.background}"' in layout and '"colorway":["#636efa"' in layout, "plotly_white, said in full"
    assert "#000001" not in layout, "a placeholder that only the pages' own front end would replace"


def test_plotly_is_inside_once_and_nothing_is_fetched() -> None:
    text = "".join(document([Source(finished(), LINK)], Options()))
    page = Page(text)
    assert len([s for s in page.scripts if len(s) > 1_000_000]) == 1 and 4_000_000 < len(text) < 6_000_000
    assert not [attrs for _, attrs in page.tags if "src" in attrs or (attrs.get("rel") == "stylesheet")]
    assert {tag for tag, attrs in page.tags if "href" in attrs} == {"a"}
    policy = next(attrs["content"] for tag, attrs in page.tags if tag == "meta" and attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None and policy.startswith("default-src 'none'") and "http" not in policy and "connect-src" not in policy
    assert '"showSendToCloud": false' in text and "@media print" in text


@pytest.mark.parametrize("hostile", [HOSTILE, SCRIPT, "{{ 7*7 }}{% for x in [] %}"])
@pytest.mark.case("T31")
def test_text_of_others_stays_text(hostile: str) -> None:
    record = finished(hostile)
    record["variants"][1]["name"] = hostile
    record["runs"][0]["reason"] = record["environments"]["e" * 64]["device"] = hostile
    usual, page = made(), made(record, title=hostile, note=f"{hostile}\nsecond line")
    assert {tag for tag, _ in page.tags} == {tag for tag, _ in usual.tags}, "no tag more"
    assert page.count("script") == usual.count("script") and not [a for _, a in page.tags if any(name.startswith("on") for name in a)]
    assert page.words.count(hostile) >= 4 and f"{hostile}\nsecond line" in page.words


def test_sections_title_and_note_are_those_asked_for() -> None:
    page = made(title="int8 or nf4?", note="line one\nline two", sections=("runs", "verdicts"))
    assert "int8 or nf4?" in page.words and "line one\nline two" in page.words
    assert [title for title, _ in SECTIONS.values() if title in page.words] == ["Verdicts", "Runs"]
    assert not drawn(page)


def test_several_experiments_are_chapters() -> None:
    other = finished("Another", "finished-experiment-02")
    page = Page("".join(document([Source(finished(), LINK), Source(other)], Options(sections=("verdicts", "trade-off")))))
    assert "An experiment · Another" in page.words and page.words.count("Verdicts") == 2
    ids = [attrs["id"] for _, attrs in page.tags if attrs.get("class") == "plotly-graph-div"]
    assert ids == ["chart-1", "chart-2"]


def test_the_axes_and_the_point_of_the_page_are_those_of_the_report() -> None:
    source = Source(finished(), LINK, "batch=4, prompt_tokens=128, new_tokens=64")
    page = Page("".join(document([source], Options(sections=("trade-off", "verdicts"), x="perplexity", y="decode_tokens_per_second"))))
    words = "\n".join(page.words)
    assert "Decode throughput against Perplexity of 1 of 3 variants." in words and "90 tok/s · ◆ baseline" in words


@pytest.mark.parametrize("path", sorted((REPOSITORY / "experiments" / "reference").glob("*.json")), ids=lambda p: p.stem)
def test_every_reference_result_can_be_reported(path: Any) -> None:
    page = made(load_bundle(path))
    assert "Where the numbers come from" in page.words and drawn(page)


def test_what_another_tool_measured_is_labelled() -> None:
    file = REPOSITORY / "tests" / "engine" / "imports" / "files" / "optimum_benchmark.json"
    words = "\n".join(made(read_file(file.name, file.read_bytes())).words)
    assert "⇥ imported" in words and "only that can run it again" in words and "▲ better" not in words


def test_a_record_without_results_says_so() -> None:
    record = finished()
    record["runs"] = []
    assert "Run it again" in made(record).words
