"""How fast are the pages where a team has thousands of experiments? Times in headless Chromium, memory of the server, statements.

Usage: python -m tests.benchmarks.bench_pages [--data DIR] [--experiments 5000] [--variants 10] [--only experiments] [--json]
DIR is seeded once and used again; without it everything is made anew, which takes some minutes. Wants two idle CPUs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from streamlit.testing.v1 import AppTest

from engine.settings import REPOSITORY
from tests.benchmarks.page_lab import PIXELS, Figure, Lab, prepare, served, statements

TIMES = 5


def experiments(lab: Lab) -> Iterator[Figure]:
    """The Experiments page: its first paint, its rows, and each kind of filter until the rows are others."""
    lab.open(lab.page(), "/experiments", PIXELS)  # the process's first page imports what all of them need
    cold, painted = [], []
    for _ in range(TIMES):
        page = lab.page()
        cold.append(lab.open(page, "/experiments", PIXELS))
        painted.append(lab.first_paint(page))
    yield Figure("experiments: first paint, empty browser cache", statistics.median(painted), "s", 2.0)
    yield Figure("experiments: rows in sight, empty browser cache", statistics.median(cold), "s")
    warm = [lab.open(page, "/experiments", PIXELS) for _ in range(TIMES)]
    yield Figure("experiments: rows in sight, opened before", statistics.median(warm), "s", 2.0)
    clicks = {
        "a model": _pill("browse_model", 2), "a technique": _pill("browse_technique", 7), "a device": _pill("browse_device", 3),
        "a status": _pill("browse_status", 2), "the next page": "() => document.querySelector('.st-key-browse_page button:last-of-type').click()",
    }  # fmt: skip
    for name, click in clicks.items():
        times = []
        for _ in range(TIMES):
            lab.open(page, "/experiments", PIXELS)
            times.append(lab.click(page, click, PIXELS))
        yield Figure(f"experiments: {name}", statistics.median(times), "s", 0.5)
    yield Figure("experiments: memory of the server", lab.memory_mib(), "MiB")
    yield from _statements()


def _pill(key: str, number: int) -> str:
    return f"() => document.querySelectorAll('.st-key-{key} button')[{number}].click()"


def _statements() -> Iterator[Figure]:
    page = AppTest.from_file(str(REPOSITORY / "dashboard" / "main.py"), default_timeout=120)
    page.switch_page("views/experiments.py").run()
    yield Figure("experiments: statements of the page drawn again", statements(page.run), "")
    pills = page.button_group(key="browse_model")
    yield Figure("experiments: statements of a filter", statements(lambda: pills.set_value(["gpt2"]).run()), "")


BENCHES: dict[str, Callable[[Lab], Iterator[Figure]]] = {"experiments": experiments}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--experiments", type=int, default=5000)
    parser.add_argument("--variants", type=int, default=10)
    parser.add_argument("--only", choices=sorted(BENCHES), action="append")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        prepare(options.data or Path(folder), options.experiments, options.variants)
        with served() as lab:
            found = []
            for name in options.only or BENCHES:
                for figure in BENCHES[name](lab):
                    found.append(figure)
                    print(figure, file=sys.stderr if options.json else sys.stdout, flush=True)
    load = os.getloadavg()[0]
    if options.json:
        print(json.dumps({"experiments": options.experiments, "variants": options.variants, "load": load, "figures": [asdict(f) for f in found]}))
    else:
        print(f"load average {load:.1f} on {os.cpu_count()} CPUs: with more than two, all times are too long")


if __name__ == "__main__":
    main()
