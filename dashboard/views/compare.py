"""Variants of any experiments side by side: what differs, the verdicts, then charts, each under its tab."""

from __future__ import annotations

import streamlit as st

from dashboard import controls, importing, tray, words
from dashboard.comparing import parts, reading
from dashboard.comparing.shown import NAMES, OWNER, TABS, Shown, shown, split_of
from dashboard.comparing.tabs import DRAWN

MOST = 12  # more variants than this no chart tells apart


def main() -> None:
    st.title("Compare")
    wanted = controls.follow_address(OWNER, NAMES, whole=tray.PARAMETERS)
    chosen = tray.chosen()
    if not chosen.refs:
        parts.suggested()
        importing.drawer("compare")
        return
    if len(chosen.refs) > MOST:
        parts.too_many(len(chosen.refs), MOST)
        return
    found, records, problems = reading.comparison(chosen.refs, chosen.base, split_of(wanted))
    parts.missing(found, chosen.refs, problems)
    if found is None:
        parts.suggested()
        return
    _draw(shown(found, records, wanted))


def _draw(now: Shown) -> None:
    if now.controls.refused:
        st.warning(words.escape(f"The link asked for what is not here: {', '.join(now.controls.refused)}"))
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


if __name__ == "__main__":
    main()
