"""A comparison on a page, whether of the database or of a frozen snapshot: what differs, the baseline, the verdicts, charts under tabs."""

from __future__ import annotations

import streamlit as st

from dashboard import controls, pages, share, words
from dashboard.comparing import parts, reading
from dashboard.comparing.shown import NAMES, TABS, Shown, shown
from dashboard.comparing.table import verdict_table
from dashboard.comparing.tabs import DRAWN
from dashboard.report import comparison, markdown
from engine import settings
from engine.export.comparison import compared
from engine.export.files import file_name, whole
from engine.export.formats import CSV_MEDIA, csv_chunks
from engine.snapshot import Snapshot

_LONGEST_TITLE = 120


def draw(now: Shown, params: dict[str, str]) -> None:
    """params: what the address says beside the controls."""
    if now.controls.refused:
        st.warning(words.escape(f"The link asked for what is not here: {', '.join(now.controls.refused)}"))
    bar = st.container(horizontal=True)
    parts.comparability(now)
    parts.baseline(now)
    if not now.rows:
        st.info("No run of these variants has a result yet.")
        return
    st.header("Verdicts", divider="gray")
    parts.verdicts(now)
    st.header("Charts", divider="gray")
    drawn = now.controls.tabs("tab", TABS)
    with drawn[now.controls["tab"]]:
        DRAWN[now.controls["tab"]](now)
    controls.say(now.controls)
    with bar:  # last: only now is it known what the page shows
        share.dialog(_shared(now, params | now.controls.params()))
        _download(now)


def frozen(held: Snapshot) -> None:
    """Inside dashboard.frozen.showing: the comparison as it was frozen. Baseline and split are as they were, other controls are free."""
    st.title("Compare")
    owner = f"view_{held.id[:8]}"
    wanted = controls.follow_address(owner, NAMES)
    found, records = reading.frozen_comparison(held)
    if found is None:
        st.info("None of the variants that were compared is in it.")
        return
    draw(shown(found, records, wanted | {"split": held.params.get("split", "together")}, owner), {})
    pages.link("compare", "The comparison as it is now", dict(held.params))


def _shared(now: Shown, params: dict[str, str]) -> share.Shared:
    experiments = tuple(dict.fromkeys(column.ref.experiment for column in now.columns))
    return share.Shared(
        "compare", _title(now), params, experiments, len(now.columns), lambda: _markdown(now, params), now.controls["point"] or None,
        frames=lambda: reading.to_freeze(now.found), report=lambda: whole(comparison.document(now, _title(now), pages.url("compare", params))),
    )  # fmt: skip


def _title(now: Shown) -> str:
    """'bnb_nf4, bnb_int8 against float32'."""
    bases = ", ".join(column.name for column in now.columns if column.baseline)
    others = ", ".join(column.name for column in now.columns if not column.baseline)
    text = f"{others} against {bases}" if others else bases
    return text if len(text) <= _LONGEST_TITLE else f"{text[: _LONGEST_TITLE - 1]}…"


def _markdown(now: Shown, params: dict[str, str]) -> str:
    """The verdict table as it is on the page, with what differs and the link."""
    table, _ = verdict_table(now.found, now.rows, only_differences=now.controls.on("only"))
    said = [f"Not measured under the same conditions: {'; '.join(map(str, now.found.differing))}"] if now.found.differing else []
    point = [f"At {now.controls['point']}"] if now.controls["point"] else []
    lines = [markdown.escape(line) for line in (*said, *point)]
    return "\n".join([f"**{markdown.escape(_title(now))}**", "", markdown.table(table), "", *lines, pages.url("compare", params), ""])


def _download(now: Shown) -> None:
    """The same file as at /api/v1/compare.csv."""

    def content() -> bytes:
        return whole(csv_chunks(compared(now.found, now.records, settings.experiment_link)))

    st.download_button(
        f"Results (CSV) · {len(now.found.rows):,} rows", content, file_name=file_name("compare", "csv"), mime=CSV_MEDIA, key="compare_csv",
        icon=":material/download:", on_click="ignore",
    )  # fmt: skip
