"""The queue: what runs with its phase and log, what waits with its turn, and when both will be done. Redrawn while something is in it.

One poll is a small query where nothing has changed and four where something has; it draws text only (dashboard/live.py says why).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import streamlit as st

from dashboard import failures, live, notices, pages, past_seconds, permissions, store, words
from db import queries
from db.open_runs import OpenExperiment
from engine.outlook import Outlook, expected, left_of_run, outlook

_SHOWN = 12
"""So many experiments are drawn; of those behind them it is said how many there are."""
_LOG_LINES = 200


def show() -> None:
    """Polls only while something runs or waits; the page is drawn anew when an experiment comes or goes."""
    waiting = store.open_experiments()
    st.fragment(run_every=live.EVERY_SECONDS if waiting else None)(_panel)(tuple(sorted(e.id for e in waiting)))


@failures.guarded
def _panel(seen: tuple[str, ...]) -> None:
    waiting = store.open_experiments()
    if notices.waiting() or tuple(sorted(e.id for e in waiting)) != seen:
        st.rerun()
    schedulers = {s["id"]: s for s in store.schedulers()}
    _schedulers(list(schedulers.values()))
    if not waiting:
        st.info("Nothing runs and nothing waits.")
        pages.link("new_experiment", "New experiment")
        return
    now = datetime.now(UTC).replace(tzinfo=None)
    for experiment, ahead in list(zip(waiting, outlook(waiting, past_seconds.by_kind, now), strict=True))[:_SHOWN]:
        with st.container(border=True):
            _experiment(experiment, ahead, schedulers, now)
    if len(waiting) > _SHOWN:
        st.caption(f"{len(waiting) - _SHOWN} more experiments wait behind these.")


def _schedulers(alive: list[dict[str, Any]]) -> None:
    if not alive:
        st.warning(words.START_SCHEDULER, icon=":material/schedule:")
        return
    devices = ", ".join(sorted({d["key"] for s in alive for d in s["devices"]}))
    seen = words.seconds_text(min(s["age_seconds"] for s in alive))
    st.caption(words.escape(f"✔ {len(alive)} scheduler{'s' * (len(alive) > 1)} running, last sign of life {seen} ago; devices: {devices}"))


def _experiment(experiment: OpenExperiment, ahead: Outlook, schedulers: dict[str, Any], now: datetime) -> None:
    pages.link("experiment", experiment.title, {"id": experiment.id})
    total = max(sum(experiment.counts.values()), 1)
    done = total - experiment.counts.get("queued", 0) - experiment.counts.get("running", 0)
    left = "" if ahead.seconds_left is None else f", about {words.seconds_text(ahead.seconds_left)} left"
    st.progress(done / total, text=words.escape(f"{counts_text(experiment.counts)}{left}"))
    st.caption(words.escape(" · ".join(filter(None, (_turn(ahead), experiment.device, experiment.owner)))))
    known = expected(experiment, past_seconds.by_kind)
    for run in experiment.running:
        _running(run, experiment.owner, left_of_run(run["started_at"], run["kind"], known, now), schedulers.get(run["scheduler"]))
    st.button("Cancel the rest" if done else "Cancel this experiment", icon=":material/cancel:", key=f"cancel_{experiment.id}",
              on_click=live.cancel, args=(experiment.id,), **permissions.control(of=[experiment.owner]))  # fmt: skip


def counts_text(counts: dict[str, int]) -> str:
    """'7 done, 1 running, 3 queued, 1 did not fit'."""
    text = {"succeeded": "done", "out_of_memory": "did not fit", "timed_out": "timed out"}
    order = ("succeeded", "running", "queued", "out_of_memory", "failed", "timed_out", "unsupported", "cancelled")
    return ", ".join(f"{counts[status]} {text.get(status, status)}" for status in order if counts.get(status))


def _turn(ahead: Outlook) -> str:
    if not ahead.position:
        return "it runs now"
    behind = f", {ahead.before} run{'s are' if ahead.before != 1 else ' is'} before it" if ahead.before else ", next"
    starts = f", starts in about {words.seconds_text(ahead.starts_in)}" if ahead.starts_in else ""
    return f"position {ahead.position}{behind}{starts}"


def _running(run: dict[str, Any], owner: str | None, left: float | None, scheduler: dict[str, Any] | None) -> None:
    rest = f", about {words.seconds_text(left)} left" if left else ""
    sign = f", last sign of life {words.seconds_text(scheduler['age_seconds'])} ago" if scheduler else ", its scheduler gives no sign of life"
    st.markdown(live.run_line(run | {"status": "running"}) + words.escape(f"{rest}{sign}"))
    key = f"log_{run['run_id']}"
    with st.container(horizontal=True):
        st.toggle("Log", key=key)
        st.button("Cancel this run", icon=":material/cancel:", key=f"cancel_run_{run['run_id']}", type="tertiary",
                  on_click=live.cancel_run, args=(run["run_id"],), **permissions.control(disabled=bool(run["cancel"]), of=[owner]))  # fmt: skip
    if st.session_state.get(key):
        lines = queries.log_tail(store.database(), run["run_id"]).splitlines()[-_LOG_LINES:]
        with st.container(height=320, autoscroll=True):
            st.code("\n".join(lines) or "nothing printed yet", language=None, wrap_lines=True)
