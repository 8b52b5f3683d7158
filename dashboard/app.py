"""What serves the pages: `python -m streamlit run dashboard/app.py`. The pages are main.py, the HTTP routes routes/table.py."""

from pathlib import Path

import streamlit as st

from dashboard.routes.table import ROUTES

app = st.App(Path(__file__).with_name("main.py"), routes=ROUTES)
