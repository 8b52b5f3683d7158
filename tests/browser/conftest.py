"""A real browser, and the product as real processes."""

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
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from engine.settings import REPOSITORY

Start = Callable[..., str]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = os.environ.get("LAB_BROWSER") or shutil.which("chromium") or shutil.which("google-chrome")
    assert path, "no browser: install Chromium or name one: LAB_BROWSER=/path/to/chrome"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        yield browser
        browser.close()


@pytest.fixture
def start(own_data: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Serves the pages of this test's data directory, with a scheduler where asked for; returns the address."""
    processes: list[subprocess.Popen[bytes]] = []

    def started(*, scheduler: bool = False) -> str:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        monkeypatch.setenv("PORT", str(port))
        serve = ["streamlit", "run", "dashboard/app.py", "--server.address", "127.0.0.1", "--server.port", str(port)]
        commands = [serve, ["engine", "scheduler"]] if scheduler else [serve]
        processes.extend(subprocess.Popen([sys.executable, "-m", *c], cwd=REPOSITORY) for c in commands)
        address = f"http://127.0.0.1:{port}"
        _wait_for(f"{address}/api/v1/health")
        return address

    yield started
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait(30)


@pytest.fixture
def lab(start: Start, tiny_model_root: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Scheduler and pages with a tiny model; the address."""
    monkeypatch.setenv("LAB_MODELS", str(tiny_model_root))
    return start(scheduler=True)


def _wait_for(address: str) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(address).close()
            return
        except (urllib.error.URLError, ConnectionError):
            assert time.monotonic() < end, "the pages did not come up"
            time.sleep(0.2)
