"""A hub that is away, does not know the model, does not let one in or is broken: the run fails soon with a reason, and takes nothing else for it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from engine.children import close_templates
from engine.executor import LocalExecutor
from engine.measurement import RunResult
from engine.modelspec import ModelSpec
from tests.engine.processes import CPU, run_spec_for, wait_for

COMMIT = "0" * 40
ANSWERS = {
    "gone": (404, "RepoNotFound", "Repository Not Found"), "gated": (401, "GatedRepo", "Access to this model is restricted"), "broken": (503, "", "down"),
}  # fmt: skip


class _Hub(BaseHTTPRequestHandler):
    asked: list[str]

    def do_HEAD(self) -> None:
        self.asked.append(self.path)
        status, code, message = next((a for name, a in ANSWERS.items() if f"/org/{name}" in self.path), (404, "EntryNotFound", "no such file"))
        self.send_response(status)
        for header, value in (("X-Error-Code", code), ("X-Error-Message", message), ("Content-Length", "0")):
            if value:
                self.send_header(header, value)
        self.end_headers()

    do_GET = do_HEAD

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[tuple[str, list[str]]]:
    _Hub.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", _Hub.asked
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    yield
    close_templates()  # those of this place; the next test has another


def run(name: str, folder: Path) -> tuple[RunResult, float]:
    """A run of org/NAME beside a folder of that name, and how long it took once Python had what it needs."""
    executor = LocalExecutor()
    began = time.monotonic()
    model = ModelSpec(source="hub", name=f"org/{name}", revision=COMMIT)
    handle = executor.start(run_spec_for("x").model_copy(update={"model": model}), folder / "runs" / f"{name}.1", device=CPU)
    return wait_for(lambda: executor.poll(handle), 300), time.monotonic() - began


@pytest.mark.case("T30")
@pytest.mark.faults
def test_what_a_hub_refuses_is_the_runs_reason(hub: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address, asked = hub
    monkeypatch.setenv("HF_ENDPOINT", address)
    run("gone", tmp_path)  # the first one waits for imports
    for name, words in (("gone", "not found|not a valid|404"), ("gated", "gated|restricted|401|access"), ("broken", "503|connect|down|Service")):
        asked.clear()
        result, seconds = run(name, tmp_path)
        assert result.status == "failed" and seconds < 120
        assert result.reason and any(word.lower() in result.reason.lower() for word in words.split("|")), result.reason
        assert any(f"/org/{name}/" in path for path in asked), "no folder was taken for it"
        assert result.measurements == () and "Traceback" not in result.reason


@pytest.mark.case("T30")
@pytest.mark.faults
def test_a_hub_that_nobody_reaches_is_the_runs_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{probe.getsockname()[1]}")  # bound, and nobody listens
        run("gone", tmp_path)
        result, seconds = run("away", tmp_path)
    assert result.status == "failed" and seconds < 120
    assert "connect" in (result.reason or "").lower(), result.reason
