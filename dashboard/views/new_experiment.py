"""The form of a new experiment: model, device, workload, variants from technique cards; what it will take; Run."""

from __future__ import annotations

import streamlit as st

from dashboard import live, store
from dashboard.new import attempt, draft, parts, start_from, will_run
from engine import api
from engine.devices import local_devices, offered


def main() -> None:
    st.title("New experiment")
    live.scheduler_state()
    catalogue, models = store.catalogue(), api.models()
    workloads, names = catalogue["workloads"], [m["name"] for m in models]
    # the second click of a double click may arrive when the page has changed already: it is no new visit
    arrived = st.session_state.get("page_before") != "new" and not st.session_state.get("new_run")
    start_from.begin(st.query_params, workloads, names, arrived=arrived)
    key = draft.request_key(arrived=arrived)
    schedulers = store.schedulers()
    devices = offered(schedulers, local_devices())
    made = attempt.attempt(workloads, devices)
    start_from.choose(workloads, names)
    start_from.banner(made.spec)
    st.text_input("Title", key="new_title", max_chars=200, persist_state="session")
    parts.problem(made, "title")
    st.header("Model and device", divider="gray")
    parts.model(models, made)
    parts.device(devices, made)
    st.header("Workload", divider="gray")
    parts.workload(workloads, made)
    st.header("Variants", divider="gray")
    parts.techniques(catalogue["techniques"], attempt.reasons(st.session_state["new_device"], schedulers, catalogue["techniques"], workloads))
    parts.baseline(made)
    st.header("What will run", divider="gray")
    will_run.section(made, devices, key)


if __name__ == "__main__":
    main()
