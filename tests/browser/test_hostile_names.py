"""Names that are HTML, Markdown, formulas and links, in everything that people can name, on every page: shown as they are, and nothing is fetched."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Request

from dashboard.pages import addresses
from db.records import import_record
from db.session import connect, migrate
from engine import edits
from engine.settings import data_dir, database_url
from tests.browser.conftest import Start
from tests.dashboard.conftest import finished

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900), pytest.mark.faults]
HOSTILE = (
    "<img src=http://127.0.0.1:9/i onerror=alert(1)><script>alert(2)</script> ![p](http://127.0.0.1:9/p) [l](javascript:alert(3)) $x$ :red[r]"
)
"""Fits a title. Nothing answers at that port; that it is asked is the fault."""
SHORT = "<img src=//127.0.0.1:9/v onerror=alert(4)> ![p](//127.0.0.1:9/v) [l](javascript:alert(5))"
LINKS = """() => [...document.querySelectorAll('a')].map(a => a.getAttribute('href') || '').filter(h => /^\\s*javascript:/i.test(h))"""
ID = "hostile-experiment-0001"


def hostile() -> dict[str, Any]:
    """A finished experiment whose every free text is hostile."""
    record = finished(HOSTILE, ID)
    record["experiment"]["spec"]["title"] = HOSTILE
    for number, variant in enumerate(record["variants"]):
        variant["name"] = record["experiment"]["spec"]["variants"][number]["name"] = f"{number} {SHORT}"
    record["experiment"]["spec"]["baseline"] = record["variants"][0]["name"]
    for run in record["runs"]:
        run["reason"] = run["reason"] and HOSTILE
        run["log_tail"] = HOSTILE
    record["environments"] = {key: {"device": HOSTILE, "packages": {"torch": HOSTILE}} for key in record["environments"]}
    return record


def settled(page: Page) -> None:
    page.wait_for_selector("h1", timeout=90_000)
    page.wait_for_function("!document.querySelector('[data-testid=stStatusWidget], [data-testid=stSkeleton]')", timeout=90_000)
    page.wait_for_timeout(300)


@pytest.mark.case("T31")
def test_nothing_that_people_name_is_executed_or_fetched(start: Start, browser: Browser) -> None:
    data_dir().mkdir(parents=True)
    db = connect(database_url())
    migrate(db)
    import_record(db, hostile(), "imported")
    edits.add_tags(db, [ID], ["<img src=//127.0.0.1:9/t>", "[t](javascript:1)"])
    edits.set_note(db, ID, HOSTILE)
    db.dispose()
    address = start()
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    asked: list[str] = []
    faults: list[str] = []
    page.on("request", lambda request: note(request, address, asked))
    page.on("dialog", lambda dialog: (faults.append(dialog.message), dialog.dismiss()))
    places = [f"{path}?id={ID}" if name == "experiment" else path for name, path in addresses().items()]
    places += [f"compare?variants={ID}.0,{ID}.1", *(f"experiment?id={ID}&tab={tab}" for tab in ("memory", "environment", "files", "quality"))]
    seen = 0
    for place in places:
        page.goto(f"{address}/{place}")
        settled(page)
        seen += "onerror" in page.inner_text("body")
        faults += [f"{place}: {link}" for link in page.evaluate(LINKS)]
        page.mouse.wheel(0, 3000)
        page.wait_for_timeout(200)
    assert (asked, faults) == ([], [])
    assert seen >= 3, "the names are there all the same"


def note(request: Request, address: str, asked: list[str]) -> None:
    if urlsplit(request.url).scheme in ("http", "https") and not request.url.startswith(address):
        asked.append(request.url)
