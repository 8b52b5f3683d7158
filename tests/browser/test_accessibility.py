"""What can be known of accessibility in a browser only: axe's rules in both themes, 390 px, the keyboard, and less motion.

Every page of dashboard/pages.py is here by itself. What axe calls serious or critical fails; what is Streamlit's own markup, and cannot be
changed from here, is in ALLOWED with its reason. Text alternatives and table twins are in tests/dashboard/test_states.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from dashboard.pages import addresses

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]
LADDER, SMOLLM = "tPHPr37Y5KOeZPP8RfyJyA", "Fe_jqRLqYH9cWdHu8cqzGQ"
"""Reference results: one with charts of training and of growth, one with quality."""
QUERIES = {"experiment": f"?id={LADDER}", "compare": f"?variants={SMOLLM}.0,{SMOLLM}.4,{LADDER}.0"}
VIEWS = [(name, f"{address}{QUERIES.get(name, '')}") for name, address in addresses().items()]
VIEWS += [("a technique", "catalogue?technique=bnb_4bit"), ("compare, empty", "compare"), ("experiment, missing", "experiment?id=gone")]
VIEWS += [(f"experiment, {tab}", f"experiment?id={LADDER}&tab={tab}") for tab in ("memory", "environment", "files")]
VIEWS += [(f"compare, {tab}", f"compare{QUERIES['compare']}&tab={tab}") for tab in ("change", "configuration")]
ALLOWED: dict[tuple[str, str], str] = {}
"""{(rule, part of the node's markup): why nothing can be done about it here}."""
DARK = "() => parseInt(getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor.slice(4)) < 60"
PHONE = {"width": 390, "height": 844}
WIDER_THAN_THE_PAGE = """() => Math.max(document.documentElement.scrollWidth, document.querySelector('[data-testid=stMain]').scrollWidth)"""
MOVING = """() => document.getAnimations().filter(a => a.playState === 'running').map(a => a.animationName || a.transitionProperty || a.id)"""


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    yield context
    context.close()


def settled(page: Page) -> None:
    """Everything of the page is drawn."""
    page.wait_for_selector("h1", timeout=60_000)
    page.wait_for_function("!document.querySelector('[data-testid=stStatusWidget], [data-testid=stSkeleton]')", timeout=60_000)
    page.wait_for_timeout(300)


def serious(page: Page, rules: list[str] | None = None) -> list[str]:
    """What is wrong by all of axe's rules, or by some."""
    options = {"resultTypes": ["violations"], **({"runOnly": rules} if rules else {})}
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{rule['id']} ({rule['impact']}): {node['html'][:200]} {(node['any'] or [{}])[0].get('message', '')[:200]}"
        for rule in found if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"] if not any(rule["id"] == name and part in node["html"] for name, part in ALLOWED)
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "path"), VIEWS, ids=[name for name, _ in VIEWS])
def test_a_page_can_be_used_by_all(shown: str, context: BrowserContext, name: str, path: str) -> None:
    page = context.new_page()
    page.goto(f"{shown}/{path}")
    settled(page)
    assert page.evaluate(MOVING) == [], "a visitor who asked for less motion gets none"
    assert page.locator(".katex-error").count() == 0
    assert serious(page) == []
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(DARK, timeout=60_000)
    assert serious(page, ["color-contrast"]) == [], "in the dark theme"
    page.set_viewport_size(PHONE)
    page.wait_for_timeout(500)
    assert page.evaluate(WIDER_THAN_THE_PAGE) <= PHONE["width"], "a phone's page is not scrolled sideways"
    page.close()


def test_what_axe_would_say_is_heard(context: BrowserContext) -> None:
    page = context.new_page()
    page.set_content("<html lang=en><title>x</title><main><h1>x</h1><button></button><p style='color:#aaa'>faint</p></main></html>")
    assert {text.partition(" ")[0] for text in serious(page)} == {"button-name", "color-contrast"}
    page.close()


def to(page: Page, target: Locator, *keys: str, most: int = 150) -> None:
    """Go to something by the Tab key alone, and press keys on it."""
    expect(target).to_be_visible(timeout=60_000)
    for _ in range(most):
        if target.evaluate("e => e === document.activeElement || e.contains(document.activeElement)"):
            break
        page.keyboard.press("Tab")
    else:
        raise AssertionError(f"{target} is not reached by {most} presses of Tab")
    for key in keys:
        page.keyboard.press(key)


def opened(page: Page, heading: str) -> None:
    expect(page.get_by_role("heading", name=heading, level=1)).to_be_visible(timeout=60_000)
    settled(page)


def test_reading_by_the_keyboard_alone(shown: str, context: BrowserContext) -> None:
    """From the first page to the list, to an experiment, to the numbers of its chart as a table."""
    page = context.new_page()
    page.goto(shown)
    opened(page, "LLM Trade-off Lab")
    to(page, page.get_by_role("link", name="Experiments", exact=True), "Enter")
    opened(page, "Experiments")
    to(page, page.get_by_test_id("data-grid-canvas").first, "ArrowDown", "Shift+Space")
    to(page, page.get_by_role("link", name="Open", exact=True), "Enter")
    expect(page.get_by_role("heading", name="Trade-off", level=2)).to_be_visible(timeout=60_000)
    settled(page)
    to(page, page.locator("summary", has_text="Show as table").first, "Enter")
    expect(page.locator("[data-testid=stDataFrame]").filter(has_text="On the front").first).to_be_attached(timeout=60_000)
    page.close()


def test_starting_by_the_keyboard_alone(shown: str, context: BrowserContext) -> None:
    """A model is chosen by typing, a technique ticked, a variant added, and all of it started."""
    page = context.new_page()
    page.goto(f"{shown}/new")
    opened(page, "New experiment")
    to(page, page.get_by_role("combobox", name="Model"))
    page.keyboard.type("Tiny LLaMA")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Random weights: speed and memory only").first).to_be_visible(timeout=60_000)
    to(page, page.get_by_role("checkbox", name="float16", exact=True), "Space")
    expect(page.get_by_role("checkbox", name="float16", exact=True)).to_be_checked(timeout=60_000)
    settled(page)
    to(page, page.get_by_role("button", name="Add as one variant"), "Enter")
    expect(page.get_by_text("≈").filter(has_text="fits")).to_have_count(6, timeout=60_000)
    to(page, page.get_by_role("button", name=re.compile("^Run")), "Enter")
    expect(page.get_by_text("0 of").first).to_be_visible(timeout=60_000)
    assert "/experiment?id=" in page.url
    page.close()
