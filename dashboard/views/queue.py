"""What runs and what waits."""

from __future__ import annotations

import streamlit as st

from dashboard import live

if __name__ == "__main__":
    st.title("Queue")
    live.queue_page()
