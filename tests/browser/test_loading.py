"""What is on a page for a while only: grey shapes while it reads, and the warning that nothing will run until a scheduler is there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from db import liveness
from db.session import connect
from tests.browser.conftest import Start
from tests.browser.test_accessibility import LADDER, QUERIES, serious

pytestmark = pytest.mark.browser
SHAPE = "[data-testid=stSkeleton]"


@pytest.fixture(scope="module")
def slow(shown_by: Start) -> str:
    return shown_by("tests/browser/slow_app.py")


@pytest.mark.parametrize(("path", "heading"), [(f"compare{QUERIES['compare']}", "Compare"), (f"experiment?id={LADDER}&tab=samples", "")],
                         ids=["compare", "samples"])  # fmt: skip
def test_what_comes_is_announced(slow: str, browser: Browser, path: str, heading: str) -> None:
    page: Page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(f"{slow}/{path}")
    expect(page.locator(SHAPE).first).to_be_visible(timeout=30_000)
    expect(page.get_by_role("heading", level=1, name=heading)).to_be_visible()
    assert serious(page) == []
    if folder := os.environ.get("LAB_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"loading-{heading or 'Experiment'}.png")
    expect(page.locator("[data-testid=stPlotlyChart]").first).to_be_visible(timeout=60_000)
    expect(page.locator(SHAPE)).to_have_count(0)
    page.close()


def test_the_warning_goes_when_a_scheduler_comes(shown: str, shown_data: Path, browser: Browser) -> None:
    page: Page = browser.new_page()
    page.goto(f"{shown}/start")
    warning = page.get_by_text("No scheduler is running")
    expect(warning).to_be_visible(timeout=60_000)
    db = connect(f"sqlite:///{shown_data / 'lab.db'}")
    try:
        liveness.announce(db, "late", machine="here", pid=1, devices=[], availability={})
        expect(warning).to_have_count(0, timeout=60_000)
    finally:
        liveness.retire(db, "late")
        db.dispose()
    page.close()
