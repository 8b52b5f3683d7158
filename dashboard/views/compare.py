"""Variants of any experiments side by side."""

from __future__ import annotations

import streamlit as st

from dashboard import pages, store, tray, words


def main() -> None:
    st.title("Compare")
    refs = tray.chosen().refs
    names = store.variant_names(refs)
    if missing := [str(ref) for ref in refs if ref not in names]:
        st.warning(words.escape(f"{len(missing)} of {len(refs)} variants are not here, they may have been deleted: {', '.join(missing)}."))
    if not names:
        st.info("Choose variants of one or several experiments; they stay chosen at the foot of the page while you look for more.")
        pages.link("experiments", "All experiments")
    for ref in (r for r in refs if r in names):
        pages.link("experiment", f"{names[ref]['name']}, of {names[ref]['title']}", {"id": ref.experiment})


if __name__ == "__main__":
    main()
