"""What stands above the charts of a comparison: suggestions, what is missing, comparability, the baseline, the verdicts. Computes nothing."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard import controls, frozen, pages, show, tray, words
from dashboard.comparing import reading
from dashboard.comparing.shown import OWNER, SPLITS, Shown
from dashboard.comparing.table import remarks, verdict_table
from engine import variant_ref
from engine.answers.comparison import Comparison
from engine.answers.suggestions import Suggestion, suggestions
from engine.control import UNRELIABLE
from engine.variant_ref import VariantRef

_NAMED = 6
_FIRST, _WIDTH, _THREE_LINES = 130, 163, 74  # of a cell: six variants beside each other on a usual screen


def suggested() -> None:
    """Where nothing is chosen: three comparisons that the data can answer, one click each."""
    st.info("Choose variants of one or several experiments: they stay chosen at the foot of the page while you look for more.")
    found = suggestions(reading.listed_for_suggestions())
    if found:
        st.header("You could compare", divider="gray")
    for number, one in enumerate(found):
        st.button(words.escape(one.text), icon=":material/compare_arrows:", key=f"suggestion_{number}", type="tertiary",
                  on_click=_take, args=(one,))  # fmt: skip
    pages.link("experiments", "All experiments")


def _take(one: Suggestion) -> None:
    tray.choose(one.refs)
    controls.ask(OWNER, {"split": one.split})


def too_many(count: int, most: int) -> None:
    st.warning(f"{count} variants are more than a reader can tell apart. Choose at most {most}: remove some at the foot of the page.")


def missing(found: Comparison | None, refs: Sequence[VariantRef], problems: Sequence[str]) -> None:
    for problem in problems:
        st.warning(words.escape(f"Left out: {problem}."))
    gone = refs if found is None else found.missing
    if gone:
        st.warning(words.escape(f"{len(gone)} of {len(refs)} variants are not here, they may have been deleted: {', '.join(map(str, gone))}."))
    if found is not None and found.base_missing is not None:
        st.warning(words.escape(f"The baseline that was asked for, {found.base_missing}, is not here; the usual one is shown."))


def comparability(shown: Shown) -> None:
    """Green, or what differs: then verdicts are drawn between equal conditions only."""
    differing = shown.found.differing
    if not differing:
        what = "Same model, device, driver, torch, baseline stack and workload"
        count = len({column.ref.experiment for column in shown.columns})
        text = what if count > 1 else "All of one experiment: measured in turn, compared round by round"
        st.success(f"{text}.", icon=":material/check_circle:")
        return
    lines = [f"- {words.escape(str(one))}" for one in differing[:_NAMED]]
    if len(differing) > _NAMED:
        lines.append(f"- and {len(differing) - _NAMED} more: they stand under Configuration")
    said = "Variants are compared within equal conditions only. Across, values stand side by side without a verdict."
    st.warning("\n".join([said, *lines]), title="These were not measured under the same conditions", icon=":material/rule:")
    if frozen.snapshot() is None:
        shown.controls.segments("split", "Baselines", SPLITS.__getitem__)


def baseline(shown: Shown) -> None:
    """Which variant the others are compared with. In a frozen view it is as it was."""
    if frozen.snapshot() is not None:
        bases = [column.name for column in shown.columns if column.baseline]
        st.markdown(f"**Baseline ★** {words.escape(', '.join(bases))}")
        return
    chosen = tray.chosen()
    columns = {str(c.ref): c for c in shown.columns}
    usual = next(columns[str(ref)].title for ref in chosen.refs if str(ref) in columns)
    key, value = "compare_base", str(chosen.base) if chosen.base is not None and str(chosen.base) in columns else ""
    st.session_state[key] = value

    def text(ref: str) -> str:
        return columns[ref].name if ref else f"The usual one: the baseline of {usual}"

    st.selectbox("Baseline ★", ["", *columns], format_func=text, key=key, on_change=_rebase, help="All others are compared with it.")
    for column in (c for c in shown.columns if c.added):
        of = "of" if column.own_baseline else "from"
        st.caption(words.escape(f"{column.name} was not chosen; it is here as the baseline, {of} {column.title}."))


def _rebase() -> None:
    tray.compare_with(variant_ref.parse(st.session_state["compare_base"]))


def _unreliable(shown: Shown) -> None:
    """Says so where the control of an experiment refutes its timings."""
    refuted = shown.frame[shown.frame["verdict"] == UNRELIABLE].drop_duplicates("experiment_id")
    titles = {column.ref.experiment: column.title for column in shown.columns}
    for row in refuted.itertuples():
        why = str(row.reason).partition("; ")[0]
        st.warning(words.escape(f"Timings that rest on {titles[str(row.experiment_id)]} are unreliable: {why}."))


def verdicts(shown: Shown) -> None:
    _unreliable(shown)
    only = shown.controls.on("only")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        shown.controls.select("point", "Point")
        shown.controls.toggle("only", "Differences only", help="Hides what is equivalent or equal in all variants.")
    table, same = verdict_table(shown.found, shown.rows, only_differences=only)
    first = {table.columns[0]: st.column_config.Column(width=_FIRST, pinned=True)}
    widths = first | dict.fromkeys(table.columns[1:], st.column_config.Column(width=_WIDTH))
    show.table(table, "Every metric of every variant: value, interval, change against the baseline and verdict.", "table_verdicts",
               row_height=_THREE_LINES, height="content", column_config=widths)  # fmt: skip
    if same:
        st.caption(words.escape(f"{len(same)} metrics are the same in all and hidden: {', '.join(same)}."))
    for column in (c for c in shown.columns if c.why):
        st.caption(words.escape(f"{column.name}: {column.why}."))
    st.caption(words.VERDICT_HELP)
    said = remarks(shown.found, shown.rows)
    if len(said):
        drawer = st.expander(f"{len(said)} remarks: why there is no verdict, and what was left out", key="table_remarks", on_change="rerun")
        if drawer.open:
            with drawer:
                show.table(said, "Why there is no value or no verdict, and what was left out.", "table_remarks_open")
