"""The report of a comparison: what its page shows, with the axes, the point and the baseline that were chosen there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dashboard import tables, words
from dashboard.comparing import pictures
from dashboard.comparing.shown import Shown
from dashboard.comparing.table import configuration, remarks, verdict_table
from dashboard.pictures import Picture
from dashboard.report.content import Block, origins, reproduction
from dashboard.report.html import Chapter, render
from engine.export import provenance


def document(now: Shown, title: str, link: str) -> Iterator[str]:
    """The HTML file in pieces."""
    facts = " · ".join(record["experiment"]["title"] for record in now.records.values())
    found = [(heading, list(blocks)) for heading, blocks in _sections(now)]
    return render([Chapter(title, facts, link, [(heading, blocks) for heading, blocks in found if blocks])], title)


def _sections(now: Shown) -> Iterator[tuple[str, Iterator[Block]]]:
    yield "Verdicts", _verdicts(now)
    yield "Trade-off", _pictures([pictures.trade_off(now, dark=False)] if now.controls["x"] else [])
    change, memory = now.controls["change"], pictures.memory_bars(now, dark=False)
    yield "Change from baseline", _pictures([pictures.change(now, change, dark=False, forest=False)] if change else [])
    yield "Memory", _pictures([memory] if memory else [])
    yield "Quality", _quality(now)
    yield "Every metric", iter([Block(table=tables.verdicts(now.frame, None, now.found.decides.quality))])
    yield "Configuration", _configuration(now)
    yield "Runs", iter([Block(table=tables.runs(now.found.record))])
    conditions = [provenance.last(now.records[c.ref.experiment], c.ref.position) for c in now.columns]
    yield "Where the numbers come from", origins(conditions, now.found.record["environments"].values())
    yield "Run it again", (reproduction(record, heading=record["experiment"]["title"]) for record in now.records.values())


def _pictures(found: Sequence[tuple[str, Picture]]) -> Iterator[Block]:
    for title, picture in found:
        yield Block(heading=title, picture=picture)


def _verdicts(now: Shown) -> Iterator[Block]:
    found = now.found
    table, _ = verdict_table(found, now.rows, only_differences=False)
    differing = [f"Not measured under the same conditions. {one}." for one in found.differing]
    yield Block(text=[*differing, *(f"{c.name}: {c.why}." for c in found.columns if c.why), words.VERDICT_HELP], table=table)
    said = remarks(found, now.rows)
    if len(said):
        yield Block(heading="Remarks", table=said)


def _quality(now: Shown) -> Iterator[Block]:
    if name := now.controls["quality"]:
        yield from _pictures([pictures.change(now, name, dark=False, forest=True)])
    if now.at["kind"].isin(("quality", "fidelity")).any():
        yield Block(table=tables.fidelity(pictures.by_own_baseline(now)))


def _configuration(now: Shown) -> Iterator[Block]:
    table, _ = configuration(now.found, now.records, only_differences=True)
    if len(table):
        yield Block(table=table)
