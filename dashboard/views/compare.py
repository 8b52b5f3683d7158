"""Variants of any experiments side by side, as the tray and the address say."""

from __future__ import annotations

import streamlit as st

from dashboard import controls, importing, show, tray
from dashboard.comparing import body, parts, reading
from dashboard.comparing.shown import NAMES, OWNER, shown, split_of

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
    with show.loading():
        found, records, problems = reading.comparison(chosen.refs, chosen.base, split_of(wanted))
    parts.missing(found, chosen.refs, problems)
    if found is None:
        parts.suggested()
        return
    body.draw(shown(found, records, wanted), chosen.params())


if __name__ == "__main__":
    main()
