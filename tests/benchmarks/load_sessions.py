"""Fifty visitors at once: each opens a page over a WebSocket of its own and runs it again and again, as clicks would. Prints the medians.

Usage: python -m tests.benchmarks.load_sessions [--sessions 50] [--reruns 10] [--think 0] [--page experiments] [--experiments 200] [--data DIR] [--out FILE]
Serves the pages of a seeded database. No browser takes part, so what is measured is the server: from the message that asks for a rerun to the
one that says that it is done. Without --think, the mean seconds between two clicks of one visitor, all click again at once: then the median is
sessions divided by the reruns that the server does per second. Exit code 1 where a page had an exception or the median is above half a second.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Barrier

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect

from tests.benchmarks import page_lab

TARGET_SECONDS = 0.5


@dataclass
class Visit:
    """What one visitor met."""

    first: float = 0.0
    again: list[float] = field(default_factory=list)
    exceptions: int = 0


def rerun(socket: ClientConnection, page: str, visit: Visit) -> float:
    """Ask for the page, take everything that comes; seconds until the script has ended."""
    ask = BackMsg()
    ask.rerun_script.query_string = ""
    ask.rerun_script.page_name = page
    began = time.perf_counter()
    socket.send(ask.SerializeToString())
    while True:
        data = socket.recv(timeout=300)
        message = ForwardMsg.FromString(data if isinstance(data, bytes) else data.encode())
        if message.WhichOneof("type") == "delta" and message.delta.new_element.WhichOneof("type") == "exception":
            visit.exceptions += 1
        elif message.WhichOneof("type") == "script_finished" and message.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY:
            return time.perf_counter() - began


def visit(address: str, page: str, reruns: int, think: float, together: Barrier) -> Visit:
    found, chance = Visit(), random.Random()
    with connect(address.replace("http", "ws") + "/_stcore/stream", subprotocols=["streamlit"], max_size=None, origin=address) as socket:  # type: ignore[arg-type, list-item]
        found.first = rerun(socket, page, found)
        together.wait(600)
        for _ in range(reruns):
            time.sleep(chance.uniform(0, 2 * think))
            found.again.append(rerun(socket, page, found))
    return found


def measure(address: str, server: object, options: argparse.Namespace) -> dict[str, object]:
    together = Barrier(options.sessions)
    before = server.memory_info().rss  # type: ignore[attr-defined]
    began = time.perf_counter()
    with ThreadPoolExecutor(options.sessions) as pool:
        visits = list(pool.map(lambda _: visit(address, options.page, options.reruns, options.think, together), range(options.sessions)))
    seconds = time.perf_counter() - began
    again = sorted(s for v in visits for s in v.again)
    return {
        "page": options.page, "sessions": options.sessions, "reruns": len(again), "exceptions": sum(v.exceptions for v in visits),
        "first_median_seconds": round(statistics.median(v.first for v in visits), 3), "warm_median_seconds": round(statistics.median(again), 3),
        "warm_p95_seconds": round(again[int(0.95 * len(again))], 3), "think_seconds": options.think,
        "seconds": round(seconds, 1), "memory_growth_mib": round((server.memory_info().rss - before) / 2**20),  # type: ignore[attr-defined]
        "cpus": len(os.sched_getaffinity(0)),
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name, default in (("sessions", 50), ("reruns", 10), ("experiments", 200), ("variants", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--think", type=float, default=0)
    parser.add_argument("--page", default="experiments", help="the page by its address; empty: the first one")
    parser.add_argument("--data", type=Path, default=Path(tempfile.mkdtemp(prefix="lab-load-")))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    page_lab.prepare(options.data, options.experiments, options.variants)
    with page_lab.serving() as (address, server):
        found = measure(address, server, options)
    print(json.dumps(found, indent=1))
    if options.out:
        options.out.write_text(json.dumps(found, indent=1))
    return 0 if not found["exceptions"] and float(str(found["warm_median_seconds"])) < TARGET_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
