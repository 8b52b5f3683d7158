"""What serves the pages: `python -m streamlit run dashboard/app.py`. The pages are main.py, the HTTP routes routes/table.py."""

import sys
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

from dashboard import gate
from dashboard.routes.table import ROUTES

try:
    gate.check()
except ValueError as error:
    sys.exit(f"error: {error}")
app = st.App(Path(__file__).with_name("main.py"), routes=ROUTES, middleware=[Middleware(gate.Gate)])
