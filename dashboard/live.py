"""What changes while one looks: fragments that ask a cheap question every two seconds and draw text only.

A fragment never draws a chart: a chart that is drawn anew loses the reader's zoom. It reruns the page when there is news.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import failures, notices, pages, permissions, store, words
from db import queue
from engine import analysis

EVERY_SECONDS = 2.0


def follow(experiment_id: str, owner: str | None) -> None:
    """Progress of an experiment that has not ended, with a button to cancel it; the page is drawn anew when a run ends."""
    st.fragment(run_every=EVERY_SECONDS)(_follow)(experiment_id, owner, store.token(experiment_id))


@failures.guarded
def _follow(experiment_id: str, owner: str | None, seen: str) -> None:
    if notices.waiting() or store.token(experiment_id) != seen:
        st.rerun()
    record = store.record(experiment_id)
    if record is None:
        st.rerun()
    progress = analysis.progress(record)
    text = f"{progress.done} of {progress.total} runs done"
    if progress.seconds_left is not None:
        text += f", about {words.seconds_text(progress.seconds_left)} left"
    st.progress(progress.done / max(progress.total, 1), text=text)
    waiting = store.queue()
    mine = waiting[(waiting["experiment_id"] == experiment_id) & (waiting["status"] == "running")]
    for row in mine.to_dict("records"):
        st.caption(run_line(row))
    if mine.empty:
        st.caption("Waiting for a free device.")
    st.button("Cancel this experiment", icon=":material/cancel:", key="cancel_followed", on_click=cancel, args=(experiment_id,),
              **permissions.control(of=[owner]))  # fmt: skip


def scheduler_state() -> None:
    """Says so where nothing will run, until something would; silent where all is well."""
    if not store.schedulers():
        st.fragment(run_every=EVERY_SECONDS)(_none_alive)()


@failures.guarded
def _none_alive() -> None:
    if store.schedulers():
        st.rerun()
    st.warning(words.START_SCHEDULER, icon=":material/schedule:")


@permissions.action
def cancel(experiment_id: str) -> str:
    """Callback: queued runs end at once, running ones within seconds."""
    number = queue.cancel_experiment(permissions.database([experiment_id]), experiment_id)
    return f"{number} {'runs are' if number != 1 else 'run is'} cancelled; one that runs ends within seconds."


@permissions.action
def cancel_run(run_id: int) -> str:
    """Callback."""
    experiment_id = queue.experiment_of(store.database(), run_id)
    cancelled = queue.cancel_run(permissions.database([experiment_id] if experiment_id else ()), run_id)
    return "The run is cancelled; it ends within seconds." if cancelled else "The run had ended already."


def run_line(row: dict[str, Any]) -> str:
    """A running run in one line of Markdown: what it is, what it does, since when."""
    parts = [words.escape(row["variant"]), f"round {row['round'] + 1}" if row["kind"] == "speed" else row["kind"]]
    state = "◼ cancelling" if row["cancel"] else "▶ " + words.escape(row["phase"] or "starting")
    return f"{' · '.join(parts)}: {state}, for {words.seconds_text(age(row['started_at']))} on {words.escape(row['device'])}"


def running_now(seen: str | None = None, experiment_id: str | None = None) -> None:
    """One line per running run, and how many wait. experiment_id, seen: rerun the page when that experiment has news."""
    st.fragment(run_every=EVERY_SECONDS)(_running_now)(seen, experiment_id, store.token())


@failures.guarded
def _running_now(seen: str | None, experiment_id: str | None, everything: str) -> None:
    if experiment_id is not None and store.token(experiment_id) != seen:
        st.rerun()
    frame = store.queue()
    running = frame[frame["status"] == "running"]
    waiting = len(frame) - len(running)
    for row in running.to_dict("records"):
        with st.container(border=True):
            pages.link("experiment", row["title"], {"id": row["experiment_id"]})
            st.caption(run_line(row))
    if frame.empty:
        st.caption("Nothing runs.")
    elif waiting:
        st.caption(f"{waiting} {'runs wait' if waiting > 1 else 'run waits'}.")


def age(started_at: datetime | None) -> float:
    """Seconds by this machine's clock, for display only."""
    if started_at is None or pd.isna(started_at):
        return 0.0
    return (datetime.now(UTC).replace(tzinfo=None) - started_at).total_seconds()
