"""The tables of a report in Markdown, for a pull request or an issue. All text of others is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from dashboard import tables, words
from dashboard.report.content import Block, Subject, sections
from dashboard.report.options import Options
from engine.decisive import decisive
from engine.export import provenance
from engine.export.files import Source
from engine.record import Record

_SPECIAL = re.compile(r"([\\`*_\[\]<>|~#$])")
_MENTION = re.compile(r"@(?=\w)")


def verdicts(record: Record, summary: pd.DataFrame, point: str | None, link: str | None) -> str:
    """The table that readers of an experiment see first, with what it was measured on and where it is."""
    title = f"**{escape(record['experiment']['title'])}**"
    return "\n".join([title, "", table(tables.headline(summary, point, decisive(record))), "", _origin(record, point), *([link] if link else []), ""])


def verdicts_of(sources: Sequence[Source]) -> str:
    """The same of each source."""
    return "\n".join(verdicts(s.record, Subject(s).summary, s.point, s.link) for s in sources)


def report(sources: Sequence[Source], options: Options) -> str:
    """A report without its charts: what they show stands in their tables."""
    title = options.title or " · ".join(source.record["experiment"]["title"] for source in sources)
    lines = [f"# {escape(title)}", ""]
    lines += [f"> {escape(line)}" for line in options.note.strip().splitlines()] + [""] if options.note.strip() else []
    for source in sources:
        if len(sources) > 1:
            lines += [f"## {escape(source.record['experiment']['title'])}", ""]
        lines += [_origin(source.record, source.point), *([source.link] if source.link else []), ""]
        for heading, blocks in sections(source, options):
            lines += [f"{'#' * (3 if len(sources) > 1 else 2)} {escape(heading)}", ""]
            for block in blocks:
                lines += _block(block)
    return "\n".join(lines)


def _block(block: Block) -> Iterator[str]:
    if block.heading:
        yield from (f"**{escape(block.heading)}**", "")
    if block.picture is not None:
        yield from (escape(block.picture.words), "", table(block.picture.twin()), "")
    if block.table is not None:
        yield from (table(block.table), "")
    for text in block.text:
        yield from (escape(text), "")
    if block.code:
        fence = "`" * max(3, *(len(found) + 1 for found in re.findall(r"`+", block.code)), 3)
        yield from (fence, block.code.rstrip("\n"), fence, "")


def table(frame: pd.DataFrame) -> str:
    """A table of GitHub's Markdown; a missing value is an empty cell."""
    rows = [list(frame.columns), ["---"] * len(frame.columns)]
    text = [[_cell(value) for value in row] for row in frame.itertuples(index=False, name=None)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [[escape(str(name)) for name in rows[0]], rows[1], *text])


def _cell(value: Any) -> str:
    if value is None or value != value:
        return ""
    return escape(f"{value:.4g}" if isinstance(value, float) else str(value))


def escape(text: str) -> str:
    """Text as it is, on one line: it makes no cell, tag, link or heading, and calls nobody."""
    return _MENTION.sub("@\u200b", _SPECIAL.sub(r"\\\1", " ".join(text.split())))


def _origin(record: Record, point: str | None) -> str:
    """'smollm2-135m on NVIDIA H100, torch 2.13.0, driver 580; workload generation (8f3a…); 5 rounds; 2026-01-02 03:04 UTC'."""
    facts = dict(zip([c.name for c in provenance.LAST], provenance.last(record, 0), strict=True))
    revision = f"@{str(facts['model_revision'])[:12]}" if facts["model_revision"] else ""
    parts = [
        f"{facts['model']}{revision} on {facts['device_name'] or record['experiment']['device']}",
        *(f"{name} {facts[name]}" for name in ("torch", "driver") if facts[name]),
        f"workload {facts['workload']} ({facts['workload_hash']})", f"{facts['rounds']} rounds", words.moment_text(record["experiment"]["created_at"]),
        *([f"commit {str(facts['commit'])[:12]}"] if facts["commit"] else []), *([f"at {point}"] if point else []),
    ]  # fmt: skip
    return escape("; ".join(parts))
