"""The report as one HTML file that is read offline: Plotly inside once, light colours, for screen and paper. All text of others is escaped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import plotly.io
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from dashboard import words
from dashboard.charts.style import CONFIG, LIGHT
from dashboard.report.content import Block, sections
from dashboard.report.options import Options
from engine.export.files import Source

_TEMPLATE = Path(__file__).with_name("report.html.j2")
_PAPER_PIXELS = 680  # of A4 between its margins, at 96 to the inch
_BUFFERED = 64


@dataclass(frozen=True)
class Chapter:
    """sections: (heading, blocks) each."""

    title: str
    facts: str
    link: str | None
    sections: Sequence[tuple[str, Sequence[Block]]]


def document(sources: Sequence[Source], options: Options) -> Iterator[str]:
    """One chapter per experiment. Raises ValueError, before the first piece, where this version cannot read one."""
    chapters = [_chapter(source, options) for source in sources]
    return render(chapters, options.title or " · ".join(chapter.title for chapter in chapters), options.note)


def render(chapters: Sequence[Chapter], title: str, note: str = "") -> Iterator[str]:
    """The file in pieces."""
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    environment.filters["cell"] = _cell
    numbers = count(1)
    stream = environment.from_string(_TEMPLATE.read_text()).stream(
        title=title, note=note.strip(), chapters=chapters, colours=LIGHT, plotlyjs=get_plotlyjs(), paper_pixels=_PAPER_PIXELS,
        made=f"Made by LLM Trade-off Lab on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC", chart=lambda figure: _chart(figure, next(numbers)),
    )  # fmt: skip
    stream.enable_buffering(_BUFFERED)
    return iter(stream)


def _chapter(source: Source, options: Options) -> Chapter:
    record = source.record
    status = words.experiment_status(dict(Counter(run["status"] for run in record["runs"])))
    return Chapter(record["experiment"]["title"], " · ".join([*words.facts(record), status]), source.link, list(sections(source, options)))


def _chart(figure: go.Figure, number: int) -> Markup:
    """Plotly writes text into its JSON so that none of it ends the script."""
    return Markup(plotly.io.to_html(figure, config=CONFIG, include_plotlyjs=False, full_html=False, div_id=f"chart-{number}"))


def _cell(value: Any) -> Any:
    """A missing number is an empty cell; a long fraction is shown short, files hold every digit."""
    if value is None or value != value:
        return ""
    return f"{value:,.4g}" if isinstance(value, float) else value
