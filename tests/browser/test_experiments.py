"""The Experiments page in a real browser: real ticks keep to their experiments, Back goes back, an address opens the same elsewhere."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from db.session import connect, migrate
from engine import api, settings
from engine.presets import parse_spec
from tests.browser.conftest import Start
from tests.seeding import seed

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
TITLE = "[data-testid^=glide-cell-1-]"  # the table's own copy of its cells, for screen readers


def titles(page: Page) -> list[str]:
    return page.locator(TITLE).all_inner_texts()


def ticked(page: Page) -> list[str]:
    return page.locator(f"tr[aria-selected=true] {TITLE}").all_inner_texts()


def said(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(str(page.evaluate("location.href"))).query)


def click_row(page: Page, number: int) -> None:
    box = page.get_by_test_id("stDataFrame").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 16, box["y"] + 53 + 35 * number)


def pill(page: Page, text: str) -> None:
    page.get_by_role("button", name=re.compile(f"^{text} · ")).first.click()


def test_ticks_keep_to_their_experiments_and_the_address_to_what_is_shown(start: Start, browser: Browser) -> None:
    db = connect(settings.database_url())
    migrate(db)
    seed(db, experiments=60, variants=2, rounds=1)
    page = browser.new_context(viewport={"width": 1280, "height": 1000}).new_page()
    page.goto(f"{start()}/experiments")
    expect(page.locator(TITLE).first).to_be_attached(timeout=60_000)
    before = titles(page)
    for row in (1, 2, 4):  # one directly after the other
        click_row(page, row)
    expect(page.get_by_text("3 chosen")).to_be_visible()
    chosen = [before[row] for row in (1, 2, 4)]
    assert ticked(page) == chosen

    api.submit(db, parse_spec({"title": "came in meanwhile", "model": "tiny-llama", "variants": ["bfloat16"]}))
    expect(page.get_by_role("button", name="1 new experiment · Refresh")).to_be_visible(timeout=60_000)
    assert titles(page) == before and ticked(page) == chosen, "nothing moves by itself"
    page.get_by_role("button", name="1 new experiment · Refresh").click()
    expect(page.locator(TITLE).first).to_have_text(re.compile("#came in meanwhile$"))
    assert ticked(page) == chosen

    pill(page, "finished")
    expect(page.get_by_role("button", name="Status: ✔ finished")).to_be_visible()
    page.get_by_label("Search", exact=True).press_sequentially("study 11", delay=30)
    expect(page.get_by_role("button", name="Search: study 11")).to_be_visible()
    expect(page.get_by_label("Search", exact=True)).to_have_value("study 11")
    expect(page.locator(TITLE)).to_have_count(1)
    assert said(page).keys() == {"q", "status", "chosen"} and len(said(page)["chosen"][0].split(",")) == 3
    shown, link = titles(page), page.evaluate("location.href")

    other = browser.new_context(viewport={"width": 1280, "height": 1000}).new_page()
    other.goto(link)
    expect(other.locator(TITLE)).to_have_count(1, timeout=60_000)
    assert (titles(other), ticked(other), said(other)) == (shown, ticked(page), said(page))
    expect(other.get_by_label("Search", exact=True)).to_have_value("study 11")
    expect(other.get_by_role("button", name="Status: ✔ finished")).to_be_visible()

    page.wait_for_timeout(2_000)  # an address that came with a fast click would be as young
    page.go_back()
    expect(page.get_by_label("Search", exact=True)).not_to_have_value("study 11")
    assert "status" in said(page)
    db.dispose()
