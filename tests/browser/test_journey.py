"""Somebody who has never seen the tool asks: int8 or nf4 for this model? Counts the clicks from the first page to a measured answer.

Screenshots of each step go to the folder that LAB_SCREENSHOTS names, where it names one.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from db.session import connect, migrate
from engine.references import import_references
from engine.settings import data_dir, database_url
from tests.browser.conftest import Start

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
MOST_CLICKS = 5


class Visitor:
    """Clicks, counts, and takes a picture after each step."""

    def __init__(self, page: Page, name: str) -> None:
        self.page, self.name, self.clicks = page, name, 0

    def click(self, target: Locator) -> None:
        target.click()
        self.clicks += 1

    def picture(self, what: str) -> None:
        if folder := os.environ.get("LAB_SCREENSHOTS"):
            expect(self.page.locator("[data-testid=stSkeleton]")).to_have_count(0, timeout=60_000)
            self.page.wait_for_timeout(1_500)
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=Path(folder) / f"{self.name}-{self.clicks}-{what}.png")


@pytest.fixture
def address(start: Start) -> str:
    """An installation in which nothing has been measured yet, with the project's own results."""
    data_dir().mkdir(parents=True)
    db = connect(database_url())
    migrate(db)
    assert import_references(db) == []
    db.dispose()
    return start()


def cells(page: Page, variant: str) -> str:
    """What the verdict table says of a variant."""
    table = page.locator("[data-testid=stDataFrame] table").first
    table.wait_for(state="attached", timeout=60_000)
    return str(table.evaluate("t => t.innerText"))


@pytest.mark.parametrize(("model", "int8", "nf4"), [(None, "bnb_int8", "bnb_nf4"), ("llama-7b", "bnb_int8", "bnb_nf4")])
def test_int8_or_nf4_is_answered_within_five_clicks(address: str, browser: Browser, model: str | None, int8: str, nf4: str) -> None:
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    visitor = Visitor(page, model or "first-model")
    page.goto(address)
    pills = page.get_by_test_id("stButtonGroup").filter(has_text="side by side")
    expect(pills).to_be_visible(timeout=60_000)
    visitor.picture("first-page")
    if model is not None:
        visitor.click(page.get_by_role("combobox", name="Model"))
        visitor.picture("models")
        visitor.click(page.get_by_role("option", name=model))
        expect(page.get_by_text("Smallest, quality unknown")).to_be_visible(timeout=60_000)  # its weights are random
        visitor.picture("its-answers")
    visitor.click(pills.get_by_role("button", name=int8, exact=True))
    expect(page.get_by_text("Choose two variants or more.")).to_be_visible()
    visitor.click(pills.get_by_role("button", name=nf4, exact=True))
    link = page.get_by_role("link", name=f"Compare {int8} with {nf4}")
    expect(link).to_be_visible(timeout=60_000)
    visitor.picture("chosen")
    visitor.click(link)
    expect(page.get_by_role("heading", name="Verdicts")).to_be_visible(timeout=60_000)
    said = cells(page, nf4)
    visitor.picture("answer")
    assert visitor.clicks <= MOST_CLICKS
    assert "Decode throughput" in said and "Weights" in said
    assert any(word in said for word in ("better", "worse", "too few rounds")), "a verdict, not only a number"
