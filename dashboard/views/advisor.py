"""Which variant to use: a few constraints, the answer first in a sentence, and everything that speaks against the others."""

from __future__ import annotations

import streamlit as st

from dashboard import advice, pages, show, store, words
from engine.answers.advisor import advise


def main() -> None:
    st.title("Advisor")
    st.markdown("Which variant meets your limits? Answered from measurements alone; what was not measured is never recommended.")
    with show.loading():
        measured, unreadable = store.measured()
    for text in unreadable:
        st.caption(words.escape(f"Left out: {text}"))
    if not measured:
        st.info("Nothing has been measured yet.")
        pages.link("new_experiment", "Start an experiment")
        return
    try:
        found = advise(advice.ask(st.query_params, measured), measured)
    except ValueError as error:  # what the reader typed
        st.error(words.escape(str(error)))
        return
    if not found.groups:
        st.info("No experiment here measures that. Choose another objective, model or hardware.")
        return
    first, *others = found.groups
    st.header("Answer", divider="gray")
    advice.answer(first, "answer")
    if others:
        st.header("Elsewhere", divider="gray")
        st.caption("Another point, machine, model or baseline: each is an answer of its own and cannot be ranked with the one above.")
        for number, group in enumerate(others):
            best = group.ranked[0].candidate.variant if group.ranked else "none meets every constraint"
            with st.expander(words.escape(f"{group.where()}: {best}")):
                advice.answer(group, f"answer_{number}")
    for note in found.notes:
        st.caption(words.escape(note))


if __name__ == "__main__":
    main()
