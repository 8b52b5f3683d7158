"""The planner's prediction beside the measured peak, on the page of an experiment. Draws; the arithmetic is engine/planning/planned.py."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard import pages, show
from dashboard.words import NOT_MEASURED, STATUS, value_text
from engine.planning.planned import PEAK, Prediction, predictions
from engine.record import Record


def section(record: Record, summary: pd.DataFrame) -> None:
    """Below the memory chart; nothing where no peak was asked for on a GPU."""
    found = predictions(record, summary.itertuples())
    if not found:
        return
    st.subheader("Predicted and measured peak")
    show.table(prediction_table(found), "The planner's prediction beside the measured peak of every variant at every point.", "predicted")
    reasons = dict.fromkeys(p.reason for p in found if p.reason)
    st.caption("By formula, from the model's config and the stack; nothing was fitted to these results. " + " ".join(f"Not predicted: {r}." for r in reasons))
    pages.link("planner", "Ask the planner")


def prediction_table(found: list[Prediction]) -> pd.DataFrame:
    return pd.DataFrame({
        "Variant": [p.variant for p in found], "Point": [p.point_label for p in found],
        "Predicted": ["not predicted" if p.plan is None else value_text(PEAK, p.plan.peak_memory_bytes) for p in found],
        "Measured": [STATUS.get(p.status, STATUS[NOT_MEASURED]) if p.measured is None else value_text(PEAK, p.measured) for p in found],
        "Error": ["" if p.error is None else f"{p.error:+.1%}".replace("-", "−").replace("%", " %") for p in found],
        "Predicted to be at": ["" if p.plan is None else p.plan.moment for p in found],
    })  # fmt: skip
