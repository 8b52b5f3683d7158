"""What the page of a training experiment shows beyond other experiments: memory by what holds it, and the loss. Draws; computes nothing."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard import pictures, show
from dashboard.charts import loss
from dashboard.controls import Controls
from engine.record import Record


def memory_split(record: Record, summary: pd.DataFrame, point: str | None) -> None:
    """Below the memory chart; nothing where no step was taken apart."""
    picture = pictures.memory_split(record, summary, point, dark=show.dark())
    if picture is not None:
        st.subheader("What holds it at the peak of a step")
        show.picture(picture, "memory_split", open_twin=True)


def loss_curves(record: Record, summary: pd.DataFrame, controls: Controls) -> None:
    """Nothing where no variant was trained for its quality."""
    frame = loss.loss_frame(record)
    if frame.empty:
        return
    st.header("Loss", divider="gray")
    controls.segments("loss", "Over", lambda name: loss.OVER[name])  # type: ignore[index]
    picture = pictures.loss_lines(record, controls["loss"], dark=show.dark())  # type: ignore[arg-type]
    assert picture is not None
    show.picture(picture, "loss")
    show.table(loss.loss_table(frame, summary, record), "What each variant was trained on and what came of it.", "loss_results")
