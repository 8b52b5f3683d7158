"""How every chart looks: colours, symbols, axes in units that people read, light and dark.

Colours follow the technique family and were measured for contrast and colour blindness; a symbol says the same once more.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from engine.analysis import IMPORTED
from engine.measurement import Status
from engine.metrics import metric
from engine.registry import discover

LOG_FROM = 50
"""An axis is logarithmic where its largest value is more than this many times its smallest."""

CONFIG: dict[str, Any] = {
    "displaylogo": False, "showSendToCloud": False, "plotlyServerURL": "", "responsive": True,
    "modeBarButtonsToRemove": ["lasso2d", "select2d", "autoScale2d"],
    "toImageButtonOptions": {"format": "png", "scale": 2},
}  # fmt: skip


BLUE, VERMILION, GREEN, PINK, GREY, GOLD = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#7A7A7A", "#B8860B"
"""What charts that have no technique families colour their parts with; the first four were measured to differ for everybody."""


@dataclass(frozen=True)
class Look:
    """A legend entry: colour and symbol belong together."""

    label: str
    colour: str
    symbol: str


_FIXED = {
    "precision": Look("precision", BLUE, "circle"),
    "quantization": Look("quantization", VERMILION, "square"),
    "inference": Look("inference", GREEN, "triangle-up"),
    "combined": Look("several families", PINK, "star"),
    "other": Look("other", GREY, "hexagon"),
}
# For families that somebody adds, in the order of their names; after the last they look like "other", and their names differ.
_NEXT = (
    (GOLD, "diamond-tall"), ("#8E6BD0", "cross"), ("#2AA198", "pentagon"), ("#A0694B", "triangle-down"),
    ("#C23B5A", "bowtie"), ("#6B8E23", "hourglass"), ("#5C7A99", "hexagram"), ("#D14FA8", "star-square"),
)  # fmt: skip


_IMPORTED = Look("imported", GREY, "circle")
"""What another tool measured is drawn as one family, whatever was done to the model: nothing shows it. Its marks are never full."""


@dataclass(frozen=True)
class Theme:
    """Colours of page and text; the same as in .streamlit/config.toml."""

    template: str
    background: str
    text: str
    grid: str
    faint: str


LIGHT = Theme("plotly_white", "#ffffff", "#141310", "#e4e2dc", "#66635c")
DARK = Theme("plotly_dark", "#171614", "#eceae4", "#35332f", "#a8a59c")


def theme(dark: bool) -> Theme:
    return DARK if dark else LIGHT


def family_of(stack: Iterable[dict[str, Any]]) -> str:
    """Family of a variant's stack; 'combined' for several, 'other' for none and for techniques that are not known here."""
    known = discover().techniques
    families = {known[t["technique"]].family if t["technique"] in known else "other" for t in stack}
    return families.pop() if len(families) == 1 else "combined" if families else "other"


def look(family: str) -> Look:
    """How a family is drawn; every family that a technique names has a look, without being listed here."""
    return _IMPORTED if family == IMPORTED else looks().get(family, _FIXED["other"])


@functools.cache
def looks() -> dict[str, Look]:
    """{family: look} of all families that there are, and of what is drawn for none or several of them."""
    added = sorted({t.family for t in discover().techniques.values()} - set(_FIXED))
    styles = itertools.chain(_NEXT, itertools.repeat((_FIXED["other"].colour, _FIXED["other"].symbol)))
    return _FIXED | {name: Look(name, colour, symbol) for name, (colour, symbol) in zip(added, styles, strict=False)}


def line_look(position: int, *, baseline: bool, colours: Theme) -> tuple[str, str, str]:
    """(colour, symbol, dash) of a variant's line. Variants of one family would look alike, so here the position counts."""
    if baseline:
        return colours.text, "diamond", "solid"
    styles = [*((entry.colour, entry.symbol) for name, entry in _FIXED.items() if name != "other"), *_NEXT]
    turn, index = divmod(position, len(styles))
    return (*styles[index], ("solid", "dash", "dot", "dashdot")[turn % 4])


def faded(colour: str, opacity: float) -> str:
    """'#0072B2' -> 'rgba(0,114,178,0.2)'."""
    return f"rgba({','.join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))},{opacity})"


def interval_bars(rows: pd.DataFrame, value: str, low: str, high: str, factor: float, colour: str) -> dict[str, Any]:
    """Asymmetric error bars from three columns; none where there is no interval (fewer than 3 rounds)."""
    up, down = ([None if d != d else d for d in (rows[a] - rows[b]) * factor] for a, b in ((high, value), (value, low)))
    return dict(type="data", array=up, arrayminus=down, color=colour, thickness=1.2, width=4)


def symbols(symbol: str, rounds: Iterable[int], imported: Iterable[bool] = ()) -> str | list[str]:
    """For a marker: hollow where there was one round only, so that nothing can be said of how it varies; hollow with a dot in it where
    another tool measured."""
    theirs = list(imported)
    found = [
        f"{symbol}-open-dot" if theirs and theirs[i] else f"{symbol}-open" if n == 1 else symbol for i, n in enumerate(rounds)
    ]  # fmt: skip
    return found if set(found) - {symbol} else symbol


@dataclass(frozen=True)
class Scale:
    """Values are drawn as value * factor; `title` names metric and unit; `log` only where the spread asks for it."""

    factor: float
    title: str
    log: bool


def scale(metric_name: str, values: Sequence[float], *, from_zero: bool = False, log: bool | None = None) -> Scale:
    """Unit and kind of an axis for a metric's values in SI units. from_zero: of bars, which begin at 0, so never logarithmic.

    log: as the reader chose, where all values have a logarithm; None for what the spread asks for.
    """
    found = metric(metric_name)
    finite = [abs(v) for v in values if math.isfinite(v) and v != 0]
    largest = max(finite, default=0.0)
    factor, unit = 1.0, found.unit
    if unit == "bytes":
        power, unit = (3, "GiB") if largest >= 2**30 else (2, "MiB") if largest >= 2**20 else (1, "KiB")
        factor = 1 / 1024**power
    elif unit == "s" and 0 < largest < 1:
        factor, unit = 1e3, "ms"
    elif unit == "fraction":
        factor, unit = 100.0, "%"
    possible = not from_zero and bool(finite) and all(v > 0 for v in values if math.isfinite(v))
    log = possible and (largest / min(finite) > LOG_FROM if log is None else log)
    notes = ", ".join(n for n in (unit, "log scale" if log else "") if n)
    return Scale(factor, f"{found.label} ({notes})" if notes else found.label, log)


def axis_range(low: float, high: float, log: bool, from_zero: bool, room: float = 0.12) -> list[float]:
    """[first, last] of an axis with room for marks and their names; exponents where it is logarithmic."""
    if log:
        first, last = math.log10(low), math.log10(high)
        margin = max((last - first) * room, 0.1)
        return [first - margin, last + margin]
    first = min(low, 0.0) if from_zero else low
    margin = max((high - first) * room, abs(high) * 0.02, 1e-12)
    return [first if from_zero and low >= 0 else first - margin, high + margin]


ENDS = ("peak_memory_bytes", "reserved_memory_bytes", "load_peak_memory_bytes")
"""The metrics that a device's memory is the end of."""
_IN_SIGHT = 4


def end_in_sight(metric_name: str, values: Iterable[float], capacity: float | None, statuses: Iterable[str]) -> float | None:
    """The capacity where it says something: at most four times the largest value, or something did not fit; else None."""
    largest = max((v for v in values if v == v), default=0.0)
    near = capacity is not None and (capacity <= _IN_SIGHT * largest or Status.OUT_OF_MEMORY in set(statuses))
    return capacity if metric_name in ENDS and near else None


def limit_line(
    figure: go.Figure, place: float, text: str, colours: Theme, *, dash: str = "solid", top: bool = True, axis: str = "x", log: bool = False
) -> None:  # fmt: skip
    """A line where something ends, a GPU's memory above all, with its words on the near side. place: in units of the axis."""
    line, at = dict(color=colours.text, width=2, dash=dash), math.log10(place) if log else place  # shapes take numbers, annotations exponents
    label = dict(text=text, showarrow=False, font=dict(size=12, color=colours.text))
    if axis == "x":
        figure.add_vline(x=place, line=line)
        figure.add_annotation(x=at, y=1 if top else 0, yref="paper", xanchor="right", xshift=-4, **label)
    else:
        figure.add_hline(y=place, line=line)
        figure.add_annotation(y=at, x=0, xref="paper", xanchor="left", yanchor="top", **label)


def finish(figure: go.Figure, colours: Theme, height: int) -> go.Figure:
    """The common frame of all charts: one explicit template, the page's own background, a legend above."""
    figure.update_layout(
        template=colours.template, height=height, margin=dict(l=8, r=8, t=36, b=8), hovermode="closest",
        paper_bgcolor=colours.background, plot_bgcolor=colours.background,
        font=dict(color=colours.text, size=13), dragmode="pan",
        legend=dict(orientation="h", yanchor="bottom", y=1.0, xanchor="left", x=0, title_text=""),
        hoverlabel=dict(bgcolor=colours.background, font=dict(color=colours.text), align="left"),
    )  # fmt: skip
    axes = dict(gridcolor=colours.grid, zerolinecolor=colours.grid, linecolor=colours.faint, automargin=True)
    figure.update_xaxes(**axes)
    figure.update_yaxes(**axes)
    return figure
