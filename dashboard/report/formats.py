"""All files that one experiment can be had as: the tables of engine/export, the report, and the table for a pull request."""

from __future__ import annotations

from engine.export.files import FORMATS as TABLES
from engine.export.files import FileFormat, Pieces, Source


def _html(source: Source) -> Pieces:
    from dashboard.report import html  # charts are slow to import, and most files need none

    return html.pieces(source)


def _markdown(source: Source) -> Pieces:
    from dashboard.report import markdown

    return iter([markdown.document(source)])


FORMATS: dict[str, FileFormat] = TABLES | {
    "html": FileFormat("Report (HTML)", "html", "text/html; charset=utf-8", "all", "file", _html),
    "markdown": FileFormat("Verdicts (Markdown)", "md", "text/markdown; charset=utf-8", "quality", "file", _markdown),
}
"""By name."""
