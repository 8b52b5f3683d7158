"""What the benchmarks of pages need: a seeded database, the pages served from it, a browser that measures, statements counted."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import Browser, Page, sync_playwright
from sqlalchemy import Engine, event

from db import queries
from db.session import connect, migrate
from engine import settings
from tests import seeding

_ARGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
# Answers after the click: how long until what `watch` gives is there and has changed, looked at once per frame in the browser's own clock.
_TIMED = """([click, watch]) => new Promise((done, fail) => {
  const look = eval(watch), before = look(), start = performance.now();
  const frame = () => {
    const now = look(), seconds = (performance.now() - start) / 1000;
    if (now && now !== before) done(seconds);
    else if (seconds > 60) fail(new Error('nothing changed'));
    else requestAnimationFrame(frame);
  };
  eval(click)();
  requestAnimationFrame(frame);
})"""
PIXELS = """() => {
  const canvas = document.querySelector('canvas[data-testid=data-grid-canvas]');
  if (!canvas) return '';
  const ratio = window.devicePixelRatio, all = canvas.getContext('2d').getImageData(50 * ratio, 40 * ratio, 150 * ratio, 100 * ratio).data;
  let sum = 0, ink = 0;
  for (let i = 0; i < all.length; i += 4) { sum = (sum * 31 + all[i]) % 1000000007; ink += all[i] < 128; }
  return ink ? sum : '';
}"""
"""What stands in the first rows of a table: its copy in the document, for screen readers, follows a fifth of a second later."""


@dataclass(frozen=True)
class Figure:
    """target: the largest value that is good enough, None where none is set."""

    name: str
    value: float
    unit: str
    target: float | None = None

    def __str__(self) -> str:
        verdict = "" if self.target is None else f"   target < {self.target:g} {self.unit}: {'met' if self.value < self.target else 'MISSED'}"
        return f"  {self.name:<58} {self.value:8.3g} {self.unit}{verdict}"


@dataclass(frozen=True)
class Lab:
    """Pages that are served from a seeded database."""

    address: str
    server: psutil.Process
    browser: Browser

    def page(self) -> Page:
        """In a profile of its own, with an empty cache."""
        return self.browser.new_context(viewport={"width": 1280, "height": 1000}).new_page()

    def open(self, page: Page, path: str, shown: str) -> float:
        """shown: JavaScript of a function that gives something as soon as what is waited for is in sight. Seconds from the request on."""
        started = time.perf_counter()
        page.goto(f"{self.address}{path}", wait_until="commit")
        page.wait_for_function(f"({shown})()", timeout=120_000)
        return time.perf_counter() - started

    def first_paint(self, page: Page) -> float:
        """Seconds until the browser painted the first text of the page that was opened."""
        return float(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000"))

    def click(self, page: Page, click: str, watch: str) -> float:
        """click: JavaScript of a function that clicks. watch: of one whose value changes by it. Seconds in between."""
        page.wait_for_timeout(700)  # until the page is at rest
        return float(page.evaluate(_TIMED, [click, watch]))

    def memory_mib(self) -> float:
        return float(self.server.memory_info().rss) / 2**20


def prepare(data: Path, experiments: int, variants: int) -> None:
    """Points this process at the data directory and seeds it, unless it is already."""
    os.environ["LAB_DATA"] = str(data)
    db = connect(settings.database_url())
    migrate(db)
    if (there := queries.count_experiments(db)) == 0:
        started = time.perf_counter()
        seeding.seed(db, experiments, variants)
        print(f"seeded {experiments} experiments x {variants} variants in {time.perf_counter() - started:.0f} s", file=sys.stderr)
    elif there != experiments:
        raise SystemExit(f"--data: {data} holds {there} experiments, not {experiments}; name another folder")
    db.dispose()


@contextmanager
def served() -> Iterator[Lab]:
    """The pages and a browser."""
    with serving() as (address, server), sync_playwright() as playwright:
        path = os.environ.get("LAB_BROWSER") or shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=path, args=_ARGS)
        yield Lab(address, server, browser)
        browser.close()


@contextmanager
def serving() -> Iterator[tuple[str, psutil.Process]]:
    """The pages, without a scheduler: nothing runs beside what is measured. Their address and process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    serve = [sys.executable, "-m", "streamlit", "run", "dashboard/app.py", "--server.address", "127.0.0.1", "--server.port", str(port)]
    process = subprocess.Popen(serve, cwd=settings.REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(f"http://127.0.0.1:{port}/api/v1/health")
        yield f"http://127.0.0.1:{port}", psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(address: str) -> None:
    end = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(address).close()
            return
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def statements(work: Callable[[], Any]) -> int:
    """How many statements it asks of any database in this process."""
    found: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        found.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        work()
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    return sum(s.lstrip().upper().startswith(("SELECT", "WITH")) for s in found)
