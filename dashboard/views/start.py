"""Getting started: real results in one click, a short test, and what this machine has and lacks, and what takes its disk."""

from __future__ import annotations

import streamlit as st

from dashboard import disk_space, first_run, live, store


def main() -> None:
    st.title("Get started")
    live.scheduler_state()
    first_run.cards(store.with_results(), machine=False)
    st.header("This machine", divider="gray")
    first_run.environment_check()
    disk_space.section()


if __name__ == "__main__":
    main()
