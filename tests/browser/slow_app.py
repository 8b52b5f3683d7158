"""The product's pages over a database that takes its time: what a page shows meanwhile can be looked at. Served by test_loading.py."""

import time

import streamlit as st

from dashboard.routes.table import ROUTES
from db import queries
from engine.settings import REPOSITORY

SECONDS = 1.0


def _slowly(read):
    def waited(*args, **kwargs):
        time.sleep(SECONDS)
        return read(*args, **kwargs)

    return waited


queries.record = _slowly(queries.record)
app = st.App(REPOSITORY / "dashboard" / "main.py", routes=ROUTES)
