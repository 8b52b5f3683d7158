"""The main path in a real browser: start an experiment in the page, see its chart, open its link elsewhere, download the CSV."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]
CHART = "[data-testid=stPlotlyChart] .scatterlayer .point"


def _fill_in(page: Page) -> None:
    page.get_by_role("combobox", name="Start from a preset").click()
    page.get_by_role("option", name="Nothing: an empty form").click()
    title = page.get_by_role("textbox", name="Title")
    expect(title).to_have_value("My experiment")  # the form has been emptied; what is typed before would be lost
    title.fill("From the browser")
    title.press("Enter")
    page.get_by_role("combobox", name="Model").click()
    page.get_by_role("option", name=re.compile("^tiny")).click()
    page.get_by_text("bfloat16", exact=True).first.click()
    page.get_by_role("button", name="Add as one variant").click()
    expect(page.get_by_role("button", name="Remove")).to_be_visible()
    for label, value in {"prompt tokens": "8", "new tokens": "4", "repeats": "2", "quality tokens": "1024", "quality context": "128"}.items():
        field = page.get_by_role("textbox" if label == "new tokens" else "spinbutton", name=label)  # several lengths may be asked for
        field.fill(value)
        field.press("Enter")
    expect(page.get_by_text("2 variants x 3 rounds")).to_be_visible()


def test_from_the_form_to_the_csv(lab: str, browser: Browser, tmp_path: Path) -> None:
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.goto(f"{lab}/new")
    _fill_in(page)
    page.get_by_role("button", name=re.compile(r"^Run\b")).dblclick()  # its name goes on with its shortcut
    expect(page.get_by_role("heading", name="From the browser")).to_be_visible(timeout=60_000)
    page.wait_for_selector(CHART, timeout=200_000)
    expect(page.get_by_text("✔ finished")).to_be_visible(timeout=200_000)
    page.get_by_role("button", name="Share", exact=True).click()
    link = page.get_by_text(re.compile(r"^http://127\.0\.0\.1:\d+/experiment\?id=")).first.inner_text()

    other = browser.new_context(viewport={"width": 390, "height": 844}, accept_downloads=True, color_scheme="dark").new_page()
    other.goto(link)
    expect(other.get_by_role("heading", name="From the browser")).to_be_visible(timeout=60_000)
    other.wait_for_selector(CHART)
    other.get_by_role("tab", name="Files").click()
    button = other.get_by_role("button", name=re.compile(r"^Results \(CSV\)"))
    label = button.inner_text()
    with other.expect_download() as caught:
        button.click()
    caught.value.save_as(tmp_path / "results.csv")
    rows = list(csv.DictReader((tmp_path / "results.csv").read_text(encoding="utf-8-sig").splitlines()))
    assert f"· {len(rows)} rows" in label and re.fullmatch(r"experiment_.+_\d{8}T\d{4}Z\.csv", caught.value.suggested_filename)
    decode = [r for r in rows if r["metric"] == "decode_tokens_per_second"]
    assert [r["variant"] for r in decode] == ["baseline", "bfloat16"]
    assert all(float(r["value"]) > 0 and r["n_rounds"] == "3" for r in decode)

    page.goto(f"{lab}/experiments")
    expect(page.get_by_text("1 to 1 of 1")).to_be_visible()
