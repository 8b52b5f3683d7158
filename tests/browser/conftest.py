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
from playwright.sync_api import Browser, expect, sync_playwright

from db.session import connect, migrate
from engine.references import import_references
from engine.settings import REPOSITORY

Start = Callable[..., str]
APP = "dashboard/app.py"
expect.set_options(timeout=30_000)  # what is waited for comes at once on a fast machine


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = os.environ.get("LAB_BROWSER") or shutil.which("chromium") or shutil.which("google-chrome")
    assert path, "no browser: install Chromium or name one: LAB_BROWSER=/path/to/chrome"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def shown_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with the project's reference results, and no scheduler."""
    data = tmp_path_factory.mktemp("shown")
    db = connect(f"sqlite:///{data / 'lab.db'}")
    migrate(db)
    assert import_references(db) == []
    db.dispose()
    return data


@pytest.fixture(scope="session")
def shown_by(shown_data: Path) -> Iterator[Start]:
    """Serves it by an app, a file of the repository; returns the address."""
    environment = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "LAB_MODELS", "HOST", "PUBLIC_BASE_URL", "LAB_READ_ONLY")}
    environment |= {"LAB_DATA": str(shown_data), "LAB_LOCKS": str(shown_data / "locks")}
    processes: list[subprocess.Popen[bytes]] = []

    def started(app: str = APP) -> str:
        port = _free_port()
        processes.append(subprocess.Popen([sys.executable, "-m", *_serve(port, app)], cwd=REPOSITORY, env=environment | {"PORT": str(port)}))
        _wait_for(f"http://127.0.0.1:{port}/api/v1/health")
        return f"http://127.0.0.1:{port}"

    yield started
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait(60)


@pytest.fixture(scope="session")
def shown(shown_by: Start) -> str:
    """The pages over the project's reference results, for tests that look at many pages; the address. One server for all of them."""
    return shown_by()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _serve(port: int, app: str = APP) -> list[str]:
    return ["streamlit", "run", app, "--server.address", "127.0.0.1", "--server.port", str(port)]


@pytest.fixture
def start(own_data: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Serves the pages of this test's data directory, with a scheduler where asked for; returns the address."""
    processes: list[subprocess.Popen[bytes]] = []

    def started(*, scheduler: bool = False) -> str:
        port = _free_port()
        monkeypatch.setenv("PORT", str(port))
        commands = [_serve(port), ["engine", "scheduler"]] if scheduler else [_serve(port)]
        processes.extend(subprocess.Popen([sys.executable, "-m", *c], cwd=REPOSITORY) for c in commands)
        address = f"http://127.0.0.1:{port}"
        _wait_for(f"{address}/api/v1/health")
        return address

    yield started
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait(60)


@pytest.fixture
def lab(start: Start, tiny_model_root: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Scheduler and pages with a tiny model; the address."""
    monkeypatch.setenv("LAB_MODELS", str(tiny_model_root))
    return start(scheduler=True)


def _wait_for(address: str) -> None:
    end = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(address).close()
            return
        except (urllib.error.URLError, ConnectionError):
            assert time.monotonic() < end, "the pages did not come up"
            time.sleep(0.2)
