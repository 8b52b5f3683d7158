"""What ended without a result or did not fit: why in words, what to try, a retry in one click or with a change. Drawn once per page run."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import identity, pages, permissions, store, words
from dashboard.new import start_from
from db import open_runs
from engine import api
from engine.devices import local_devices, offered
from engine.measurement import Status
from engine.planning.changes import changed
from engine.planning.remedies import Remedy, remedy
from engine.specs import new_id

_CHANGES = {"smaller": "Try it smaller", "longer": "Try it with more time", "failed": "Retry with changes", "verdict": "More rounds"}


def section() -> None:
    """The newest experiments that ended so; nothing where there is none."""
    found = open_runs.ended_badly(store.database())
    if not found:
        return
    st.header("Ended without a result", divider="gray")
    for row in found:
        with st.container(border=True):
            pages.link("experiment", row["title"], {"id": row["experiment_id"]})
            what_to_try(row["experiment_id"], row, row["runs"], key=f"retry_{row['experiment_id']}")


def what_to_try(experiment_id: str, run: dict[str, Any], count: int, key: str) -> None:
    """run: variant, status and reason of the first run that ended so; count: how many did."""
    known = remedy(run["status"], run["reason"])
    more = f", and {count - 1} more run{'s' * (count > 2)}" if count > 1 else ""
    st.markdown(f"**{words.escape(known.headline)}**: {words.escape(run['variant'] + more)}")
    if run["reason"]:
        st.caption(words.escape(run["reason"][:400]))
    st.markdown(words.escape(known.advice))
    if known.command:
        st.code(known.command, language="bash", wrap_lines=True)
    with st.container(horizontal=True):
        _buttons(experiment_id, run, known, key)


def _buttons(experiment_id: str, run: dict[str, Any], known: Remedy, key: str) -> None:
    if not Status(run["status"]).is_result:
        allowed = permissions.control("A new experiment of the baseline and what failed: so all is compared within its own rounds.")
        st.button("Retry what failed", icon=":material/replay:", key=key, on_click=retry, args=(experiment_id,), **allowed)
    change = known.change or "failed"
    params = start_from.link_params(experiment_id, None if Status(run["status"]).is_result and change == "failed" else change)
    pages.link("new_experiment", _CHANGES[change], params)


@permissions.action
def retry(experiment_id: str) -> str:
    """Callback: the baseline and what failed, once more. A second click of the same visit is the same retry."""
    record = store.record(experiment_id)
    if record is None:
        raise ValueError("there is no such experiment; it may have been deleted")
    key = st.session_state.setdefault(f"retry_request_{experiment_id}", new_id())
    devices = offered(store.schedulers(), local_devices())
    spec = changed(record, "failed")
    private = store.private([experiment_id])
    api.submit(permissions.database(), spec, request_key=key, devices=devices, owner=identity.current().name, private=private)
    return f"{spec.title} is queued: {', '.join(v.name for v in spec.variants)}."
