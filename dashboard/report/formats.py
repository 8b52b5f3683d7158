"""All files that experiments can be had as: the tables of engine/export, the report, and all of them in one ZIP."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.report.options import Options
from engine.export.files import FORMATS as TABLES
from engine.export.files import FileFormat, Pieces, Source
from engine.export.package import Part, package


def reports(options: Options) -> dict[str, FileFormat]:
    """The files that are written as somebody asked. Charts are slow to import and most files have none: imported where they are made."""

    def html(sources: Sequence[Source]) -> Pieces:
        from dashboard.report.html import document

        return document(sources, options)

    def markdown(sources: Sequence[Source]) -> Pieces:
        from dashboard.report.markdown import report

        return iter([report(sources, options)])

    def zipped(sources: Sequence[Source]) -> Pieces:
        files = {"report.html": html, "report.md": markdown}
        parts = [Part(name, "".join(map(str, write(sources))).encode()) for name, write in files.items()]
        return iter([package(sources, parts, title=options.title)])

    return {
        "html": FileFormat("Report (HTML)", "html", "text/html; charset=utf-8", "all", "file", html),
        "markdown": FileFormat("Report (Markdown)", "report.md", "text/markdown; charset=utf-8", "all", "file", markdown),
        "zip": FileFormat("Everything (ZIP)", "zip", "application/zip", "all", "file", zipped),
    }


def _verdicts(sources: Sequence[Source]) -> Pieces:
    from dashboard.report.markdown import verdicts_of

    return iter([verdicts_of(sources)])


FORMATS: dict[str, FileFormat] = TABLES | reports(Options()) | {
    "verdicts": FileFormat("Verdicts (Markdown)", "md", "text/markdown; charset=utf-8", "quality", "file", _verdicts),
}
"""By name; what addresses and the download menu of one experiment offer."""
