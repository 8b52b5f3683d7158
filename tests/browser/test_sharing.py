"""Sharing in a real browser: every link opens the same view in a clean profile, and the report needs no network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from dashboard.charts.style import BLUE, LIGHT
from dashboard.report.html import document
from dashboard.report.options import Options
from db.records import import_record
from db.session import connect, migrate
from engine.bundle import load_bundle
from engine.export.files import Source
from engine.settings import REPOSITORY, data_dir, database_url
from tests.browser.conftest import Start
from tests.dashboard.conftest import finished

pytestmark = [pytest.mark.browser, pytest.mark.timeout(500)]
REFERENCE = REPOSITORY / "experiments" / "reference" / "smollm2-135m-h200.json"
DATA = """() => [...document.querySelectorAll('.js-plotly-plot')].map(chart => JSON.stringify(chart.data))"""
TABLES = """() => [...document.querySelectorAll('[data-testid=stDataFrame] table')].map(table => table.innerText)"""
CONTROLS = """() => [...document.querySelectorAll('[data-testid=stSelectbox], [data-testid=stButtonGroup]')].map(e => e.innerText
    + [...e.querySelectorAll('input')].map(i => i.value) + [...e.querySelectorAll('[aria-checked=true]')].map(i => i.innerText))"""


def seen(page: Page) -> dict[str, Any]:
    """The data of every chart, the rows of every table, the state of every control."""
    page.wait_for_selector(".scatterlayer .point", timeout=120_000)
    expect(page.get_by_role("heading", name="Every metric")).to_be_visible(timeout=60_000)
    page.wait_for_function(f"({DATA})().length == 1", timeout=60_000)
    page.wait_for_function(f"({TABLES})().length == 2", timeout=60_000)  # each is drawn when it has come near the window
    return {name: page.evaluate(script) for name, script in (("charts", DATA), ("tables", TABLES), ("controls", CONTROLS))}


def fresh(browser: Browser) -> Page:
    return browser.new_context(viewport={"width": 1280, "height": 900}).new_page()


def test_every_link_of_the_share_dialog_opens_the_same_view(start: Start, browser: Browser) -> None:
    data_dir().mkdir(parents=True)
    db = connect(database_url())
    migrate(db)
    experiment = import_record(db, finished(), "imported")
    db.dispose()
    page = fresh(browser)
    page.goto(f"{start()}/experiment?id={experiment}&x=perplexity&y=ttft_seconds")
    first = seen(page)
    assert "60 tok/s · +100 % · ▲ better" in str(first["tables"]) and len(first["controls"]) >= 3 and "Perplexity" in str(first["controls"])
    page.get_by_role("button", name="Share", exact=True).click()
    for action, made in (("Save the view", "Saved view"), ("Freeze a snapshot", "Frozen snapshot")):
        page.get_by_role("button", name=action).click()
        expect(page.get_by_text(made, exact=True)).to_be_visible(timeout=60_000)
    links = {
        "live": page.get_by_text(re.compile(r"^http\S+/experiment\?id=\S+$")).first.inner_text(),
        "frozen": page.get_by_text(re.compile(r"^http\S+/view\?id=\S+$")).first.inner_text(),
    }
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Reports").click()
    page.get_by_role("button", name="Link").nth(1).click()
    links["saved"] = page.get_by_text(re.compile(r"^http\S+/view\?id=\S+$")).first.inner_text()
    assert len(set(links.values())) == 3
    for name, link in links.items():
        other = fresh(browser)
        other.goto(link)
        assert seen(other) == first, name


def test_the_report_is_read_offline(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text("".join(document([Source(load_bundle(REFERENCE), "http://127.0.0.1:8501/experiment?id=x")], Options())))
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark", offline=True)
    page = context.new_page()
    asked: list[str] = []
    wrong: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(file.as_uri())
    page.wait_for_selector(".scatterlayer .point", timeout=120_000)
    fill = page.eval_on_selector_all(".scatterlayer .trace:has(.point) .point", "marks => marks.map(m => getComputedStyle(m).fill)")
    blue = f"rgb({', '.join(str(int(BLUE[i : i + 2], 16)) for i in (1, 3, 5))})"
    assert blue in fill and "rgb(0, 0, 1)" not in fill
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == f"rgb({', '.join(str(int(LIGHT.background[i : i + 2], 16)) for i in (1, 3, 5))})", "paper is white, whatever the visitor's theme"
    buttons = page.eval_on_selector_all(".modebar-btn", "all => all.map(b => b.dataset.title)")
    assert "Download plot as a PNG" in buttons and not [b for b in buttons if "Share" in b or "Cloud" in b or "Studio" in b]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    with page.expect_download() as caught:  # of a chart, made in the page itself
        page.locator(".modebar-btn[data-title='Download plot as a PNG']").first.evaluate("b => b.click()")
    assert caught.value.suggested_filename.endswith(".png")
    pdf = page.pdf()
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) >= 2
    assert asked == [file.as_uri()] or all(url.startswith(("file:", "blob:", "data:")) for url in asked)
    assert not wrong
    context.close()
