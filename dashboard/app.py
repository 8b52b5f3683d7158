"""What serves the pages: `python -m streamlit run dashboard/app.py`. The pages are main.py, the HTTP routes routes/table.py."""

from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

from dashboard import gate
from dashboard.routes.table import ROUTES

gate.check()
app = st.App(Path(__file__).with_name("main.py"), routes=ROUTES, middleware=[Middleware(gate.Gate)])
