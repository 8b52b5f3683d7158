"""What the page of a training experiment shows beyond other experiments: memory by what holds it, and the loss. Draws; computes nothing."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard import show
from dashboard.charts import loss, training_memory
from engine.record import Record


def memory_split(record: Record, summary: pd.DataFrame, point: str | None) -> None:
    """Below the memory chart; nothing where no step was taken apart."""
    frame = training_memory.split_frame(summary, point, training_memory.predictions(record))
    if frame.empty:
        return
    st.subheader("What holds it at the peak of a step")
    bars = training_memory.split_bars(frame, dark=show.dark())
    show.chart(bars, training_memory.describe(frame), "memory_split", lambda: training_memory.split_table(frame), open_twin=True)


def loss_curves(record: Record, summary: pd.DataFrame) -> None:
    """Nothing where no variant was trained for its quality."""
    frame = loss.loss_frame(record)
    if frame.empty:
        return
    st.header("Loss", divider="gray")
    chosen = st.segmented_control("Over", list(loss.OVER), default="tokens", required=True, key="loss_over",
                                  format_func=loss.OVER.__getitem__, label_visibility="collapsed") or "tokens"  # fmt: skip
    show.chart(loss.loss_lines(frame, chosen, dark=show.dark()), loss.describe(frame, chosen), "loss", lambda: loss.table(frame))
    show.table(loss.loss_table(frame, summary, record), "What each variant was trained on and what came of it.", "loss_results")
