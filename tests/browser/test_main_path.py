"""The main path in a real browser: start an experiment in the page, see its chart, open its link elsewhere, download the CSV."""

from __future__ import annotations

import csv
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from engine.settings import REPOSITORY

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]
CHART = "[data-testid=stPlotlyChart] .scatterlayer .point"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = os.environ.get("LAB_BROWSER") or shutil.which("chromium") or shutil.which("google-chrome")
    assert path, "no browser: install Chromium or name one: LAB_BROWSER=/path/to/chrome"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        yield browser
        browser.close()


@pytest.fixture
def lab(own_data: Path, tiny_model_root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Scheduler and pages as real processes; returns the address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("LAB_MODELS", str(tiny_model_root))
    monkeypatch.setenv("PORT", str(port))
    serve = ["streamlit", "run", "dashboard/app.py", "--server.address", "127.0.0.1", "--server.port", str(port)]
    processes = [subprocess.Popen([sys.executable, "-m", *c], cwd=REPOSITORY) for c in (serve, ["engine", "scheduler"])]
    address = f"http://127.0.0.1:{port}"
    _wait_for(f"{address}/api/v1/health")
    yield address
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait(30)


def _wait_for(address: str) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(address).close()
            return
        except (urllib.error.URLError, ConnectionError):
            assert time.monotonic() < end, "the pages did not come up"
            time.sleep(0.2)


def _fill_in(page: Page) -> None:
    page.get_by_text("empty", exact=True).click()
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
    page.get_by_role("button", name="Run", exact=True).dblclick()
    expect(page.get_by_role("heading", name="From the browser")).to_be_visible(timeout=20_000)
    page.wait_for_selector(CHART, timeout=200_000)
    expect(page.get_by_text("✔ finished")).to_be_visible(timeout=200_000)
    link = page.get_by_text(re.compile(r"^http://127\.0\.0\.1:\d+/experiment\?id=")).inner_text()

    other = browser.new_context(viewport={"width": 390, "height": 844}, accept_downloads=True, color_scheme="dark").new_page()
    other.goto(link)
    expect(other.get_by_role("heading", name="From the browser")).to_be_visible(timeout=20_000)
    other.wait_for_selector(CHART)
    with other.expect_download() as caught:
        other.get_by_role("button", name="CSV", exact=True).click()
    caught.value.save_as(tmp_path / "results.csv")
    rows = list(csv.DictReader((tmp_path / "results.csv").read_text(encoding="utf-8-sig").splitlines()))
    decode = [r for r in rows if r["metric"] == "decode_tokens_per_second"]
    assert [r["variant"] for r in decode] == ["baseline", "bfloat16"]
    assert all(float(r["value"]) > 0 and r["n_rounds"] == "3" for r in decode)

    page.goto(f"{lab}/experiments")
    expect(page.get_by_text("1 to 1 of 1")).to_be_visible()
