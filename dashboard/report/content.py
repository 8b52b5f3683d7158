"""What a report holds: sections of words, charts, tables and code, made from one experiment. Formats are html.py and markdown.py."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from dashboard import pictures, tables, words
from dashboard.links import ChartView
from dashboard.pictures import Picture
from dashboard.report.options import Options
from engine import analysis
from engine.answers.explain import explain, said
from engine.decisive import Decisive, decisive
from engine.export import provenance
from engine.export.files import Source
from engine.flips import flips
from engine.presets import parse_spec, to_yaml
from engine.profiles import Profile
from engine.record import Record, imported_from


@dataclass(frozen=True)
class Block:
    """One thing after another: heading, words, chart with its table, table, code; each where there is one."""

    heading: str = ""
    text: Sequence[str] = ()
    picture: Picture | None = None
    table: pd.DataFrame | None = None
    code: str = ""


@dataclass(frozen=True)
class Subject:
    """One experiment as the sections ask for it; charts are for paper, so always light."""

    source: Source
    options: Options = field(default_factory=Options)

    @property
    def record(self) -> Record:
        return self.source.record

    @cached_property
    def summary(self) -> pd.DataFrame:
        return analysis.frame(self.source.results)

    @cached_property
    def decides(self) -> Decisive:
        return decisive(self.record)

    @cached_property
    def view(self) -> ChartView:
        known = pictures.axes(self.summary, self.decides)
        asked = (self.options.x, self.options.y)
        x, y = (a if a in known else usual for a, usual in zip(asked, pictures.default_axes(self.summary, self.decides), strict=True))
        return ChartView(str(x), str(y), self.source.point)


def _verdicts(of: Subject) -> Iterator[Block]:
    yield Block(table=tables.headline(of.summary, of.view.point, of.decides), text=[words.VERDICT_HELP])


def _trade_off(of: Subject) -> Iterator[Block]:
    if of.summary["value"].notna().any():
        yield Block(picture=pictures.trade_off(of.record, of.summary, of.view, dark=False))


def _scaling(of: Subject) -> Iterator[Block]:
    known, _ = pictures.scaled(of.summary, of.decides)
    for name in known:
        if name in of.decides.names:
            yield Block(picture=pictures.over_length(of.record, of.summary, name, dark=False))


def _memory(of: Subject) -> Iterator[Block]:
    yield Block(picture=pictures.memory_bars(of.record, of.summary, of.view.point, dark=False))
    if split := pictures.memory_split(of.record, of.summary, of.view.point, dark=False):
        yield Block(heading="What holds it at the peak of a step", picture=split)


def _quality(of: Subject) -> Iterator[Block]:
    if of.summary["kind"].isin(("quality", "fidelity")).any():
        yield Block(table=tables.fidelity(pictures.without_control(of.record, of.summary)),
                    text=["Divergence and agreement say how like the baseline a variant answers. They are not accuracy."])  # fmt: skip
    if found := flips(of.record):
        yield Block(heading="Changed answers", table=tables.flips(found))
    if loss := pictures.loss_lines(of.record, "tokens", dark=False):
        yield Block(heading="Loss", picture=loss)


def _why(of: Subject) -> Iterator[Block]:
    explained = explain(of.record, of.source.results)
    if any(w.regimes for w in explained):
        yield Block(table=tables.regimes(explained), text=[words.LIMIT_HELP])
    common, own = said(explained)
    if common:
        yield Block(text=[f"All variants: {' '.join(common)}"])
    for variant, sentences in own.items():
        if sentences:
            yield Block(heading=variant, text=[" ".join(sentences)])


def _metrics(of: Subject) -> Iterator[Block]:
    yield Block(table=tables.verdicts(of.summary, None, of.decides.quality))


def _profile(of: Subject) -> Iterator[Block]:
    found = {name: p for name, p in pictures.profiles(of.record).items() if isinstance(p, Profile)}
    if shares := pictures.profile_shares(found, dark=False):
        yield Block(picture=shares)


def _runs(of: Subject) -> Iterator[Block]:
    yield Block(table=tables.runs(of.record))


def _provenance(of: Subject) -> Iterator[Block]:
    rows = [provenance.last(of.record, position) for position in range(len(of.record["variants"]))]
    yield from origins(rows, of.record["environments"].values())


def origins(rows: Sequence[Sequence[Any]], environments: Iterable[dict[str, Any]]) -> Iterator[Block]:
    """rows: values of provenance.LAST of each variant. environments: all facts of where they ran."""
    names = [column.name for column in provenance.LAST]
    facts = {name: list(dict.fromkeys(str(row[i]) for row in rows if row[i] is not None)) for i, name in enumerate(names)}
    yield Block(table=pd.DataFrame({"Fact": [n.replace("_", " ") for n in names], "Value": ["; ".join(facts[n]) or "not recorded" for n in names]}))
    for facts_of in environments:
        yield Block(code=json.dumps(facts_of, indent=1, sort_keys=True))


def _reproduce(of: Subject) -> Iterator[Block]:
    yield reproduction(of.record)


def reproduction(record: Record, heading: str = "") -> Block:
    """How to measure an experiment again."""
    if (tool := imported_from(record)) is not None:
        return Block(heading, [f"It was measured by {tool}; only that can run it again."])
    text = "Save this as experiment.yaml, and run .venv/bin/python -m engine run experiment.yaml"
    return Block(heading, [text], code=to_yaml(parse_spec(record["experiment"]["spec"])))


SECTIONS: dict[str, tuple[str, Callable[[Subject], Iterator[Block]]]] = {
    "verdicts": ("Verdicts", _verdicts), "trade-off": ("Trade-off", _trade_off), "scaling": ("Scaling", _scaling), "memory": ("Memory", _memory),
    "quality": ("Quality and fidelity", _quality), "why": ("Why", _why), "metrics": ("Every metric", _metrics),
    "profile": ("Where the time goes", _profile), "runs": ("Runs", _runs), "provenance": ("Where the numbers come from", _provenance),
    "reproduce": ("Run it again", _reproduce),
}  # fmt: skip
"""{name: (title, its blocks)} in the order of a report."""


def sections(source: Source, options: Options) -> Iterator[tuple[str, list[Block]]]:
    """(title, blocks) of the sections asked for, all where none is named; one that has nothing to say is left out."""
    subject = Subject(source, options)
    for name, (title, blocks_of) in SECTIONS.items():
        if (not options.sections or name in options.sections) and (blocks := list(blocks_of(subject))):
            yield title, blocks
