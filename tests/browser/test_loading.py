"""While a page reads, its heading and a grey shape of what comes are there; afterwards the shape is gone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Start
from tests.browser.test_accessibility import LADDER, QUERIES, serious

pytestmark = pytest.mark.browser
SHAPE = "[data-testid=stSkeleton]"


@pytest.fixture(scope="module")
def slow(shown_by: Start) -> str:
    return shown_by("tests/browser/slow_app.py")


@pytest.mark.parametrize(("path", "heading", "then"), [
    (f"compare{QUERIES['compare']}", "Compare", "[data-testid=stPlotlyChart]"),
    (f"experiment?id={LADDER}&tab=samples", "", "[data-testid=stPlotlyChart]"),
])  # fmt: skip
def test_what_comes_is_announced(slow: str, browser: Browser, path: str, heading: str, then: str) -> None:
    page: Page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(f"{slow}/{path}")
    expect(page.locator(SHAPE).first).to_be_visible(timeout=30_000)
    expect(page.get_by_role("heading", level=1, name=heading)).to_be_visible()
    assert serious(page) == []
    if folder := os.environ.get("LAB_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"loading-{heading or 'Experiment'}.png")
    expect(page.locator(then).first).to_be_visible(timeout=60_000)
    expect(page.locator(SHAPE)).to_have_count(0)
    page.close()
