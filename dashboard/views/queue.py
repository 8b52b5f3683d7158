"""What runs, what waits, and what ended without a result."""

from __future__ import annotations

import streamlit as st

from dashboard import attention, queue_panel


def main() -> None:
    st.title("Queue")
    queue_panel.show()
    attention.section()


if __name__ == "__main__":
    main()
