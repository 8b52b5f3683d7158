"""How fast are the pages where a team has thousands of experiments? Times in headless Chromium, memory of the server, statements.

Usage: python -m tests.benchmarks.bench_pages [--data DIR] [--experiments 5000] [--variants 10] [--only variants_csv|experiments|compare] [--json]
DIR is seeded once and used again; without it everything is made anew, which takes some minutes. Wants two idle CPUs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from playwright.sync_api import Page
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


_CHART = "() => document.querySelector('[data-testid=stPlotlyChart] .plot-container') ? 'there' : ''"
_HEADING = "() => [...document.querySelectorAll('h1, h3')].map(e => e.innerText).join('|')"
_COMPARED = 12
_TO_COMPARE = "() => [...document.querySelectorAll('a')].find(e => e.innerText.includes('Compare (')).click()"
_VERDICTS = f"() => [...document.querySelectorAll('h2')].some(e => e.innerText === 'Verdicts') && ({PIXELS})() ? 'there' : 'not yet'"


def compare(lab: Lab) -> Iterator[Figure]:
    """Compare of 12 variants of 12 experiments, and of one: its first paint, its tables, its chart, then another tab and another baseline."""
    lab.open(lab.page(), _compared(0, _COMPARED), _CHART)
    for name, start, each in (("of 12 experiments", 100, _COMPARED), ("of one experiment", 100, 1)):
        painted, rows, charts, clicked = [], [], [], []
        for turn in range(TIMES):  # other experiments every time: the server has none of them ready
            page, path = lab.page(), _compared(start + turn * _COMPARED, each)
            lab.open(page, "/claims", _HEADING)  # the program is in the browser's cache, as it is on a second visit
            rows.append(lab.open(page, path, PIXELS))
            painted.append(lab.first_paint(page))
            charts.append(lab.open(page, path, _CHART))
            lab.open(page, _compared(start + 500 + turn * _COMPARED, each).replace("/compare", "/experiments"), PIXELS)
            clicked.append(lab.click(page, _TO_COMPARE, _VERDICTS))
        yield Figure(f"compare, 12 variants {name}: first paint", statistics.median(painted), "s", 2.0)
        yield Figure(f"compare, 12 variants {name}: verdicts, by a link in a new window", statistics.median(rows), "s", 2.0)
        yield Figure(f"compare, 12 variants {name}: verdicts, by a click in the list", statistics.median(clicked), "s", 2.0)
        yield Figure(f"compare, 12 variants {name}: chart in sight, read before", statistics.median(charts), "s")
    tab = "() => [...document.querySelectorAll('[role=tab]')][1].click()"
    yield Figure("compare: another tab", statistics.median(_again(lab, page, path, tab) for _ in range(TIMES)), "s")
    drawn = AppTest.from_file(str(REPOSITORY / "dashboard" / "main.py"), default_timeout=120)
    drawn.query_params["variants"] = _compared(300, _COMPARED).partition("=")[2]
    yield Figure("compare: statements of 12 experiments", statements(drawn.switch_page("views/compare.py").run), "")
    yield Figure("compare: statements of the page drawn again", statements(drawn.run), "")


def _again(lab: Lab, page: Page, path: str, click: str) -> float:
    lab.open(page, path, _CHART)
    return lab.click(page, click, _HEADING)


def _compared(first: int, experiments: int) -> str:
    """The address of 12 variants: one each of as many experiments, or the first ones of one, and two of the next."""
    refs = [f"seeded-{first + i:05}.{i % 10}" for i in range(_COMPARED)] if experiments > 1 else [
        *(f"seeded-{first:05}.{i}" for i in range(10)), f"seeded-{first + 1:05}.0", f"seeded-{first + 1:05}.1"
    ]  # fmt: skip
    return f"/compare?variants={','.join(refs)}"


def variants_csv(lab: Lab) -> Iterator[Figure]:
    """The CSV of all variants: until its first piece, until its last, and the largest that the server was meanwhile."""
    firsts, wholes, sizes, rows = [], [], [], 0
    for _ in range(TIMES):
        started, rows, first = time.perf_counter(), -1, None
        with urllib.request.urlopen(f"{lab.address}/api/v1/variants.csv?archived=all") as answer:
            while piece := answer.read(2**16):
                first = first or time.perf_counter() - started
                rows += piece.count(b"\n")
                sizes.append(lab.memory_mib())
        firsts.append(first or 0.0)
        wholes.append(time.perf_counter() - started)
    yield Figure("variants.csv: rows", rows, "")
    yield Figure("variants.csv: the first piece", statistics.median(firsts), "s")
    yield Figure("variants.csv: all of it", statistics.median(wholes), "s", 5.0)
    yield Figure("variants.csv: memory of the server at its largest", max(sizes), "MiB", 300.0)


BENCHES: dict[str, Callable[[Lab], Iterator[Figure]]] = {"variants_csv": variants_csv, "experiments": experiments, "compare": compare}


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
