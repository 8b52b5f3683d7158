"""The form of a new experiment: model, device, variants from technique cards, workload, rounds; what it will take; Run."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import draft, form_parts, links, pages, permissions, show, store, words
from engine import api
from engine.devices import Device, local_devices
from engine.planning import guard
from engine.presets import preset_names
from engine.specs import ExperimentSpec


def main() -> None:
    st.title("New experiment")
    show.scheduler_state()
    catalogue, models = store.catalogue(), api.models()
    # the second click of a double click may arrive when the page has changed already: it is no new visit
    arrived = st.session_state.get("page_before") != "new" and not st.session_state.get("new_run")
    _begin(catalogue["workloads"], [m["name"] for m in models], arrived=arrived)
    key = draft.request_key(arrived=arrived)
    schedulers = store.schedulers()
    devices = draft.offered(schedulers, local_devices())
    _start_from()
    st.text_input("Title", key="new_title", max_chars=200, persist_state="session")
    st.header("Model and device", divider="gray")
    form_parts.model(models)
    form_parts.device(devices)
    st.header("Variants", divider="gray")
    reasons = draft.reasons(st.session_state["new_device"], schedulers, catalogue["techniques"])
    form_parts.techniques(catalogue["techniques"], reasons)
    form_parts.variants()
    st.header("Workload", divider="gray")
    form_parts.workload(catalogue["workloads"])
    st.header("Run", divider="gray")
    _run(catalogue["workloads"], devices, key)


def _begin(workloads: list[dict[str, Any]], models: list[str], *, arrived: bool) -> None:
    """Fill the form once: from a preset or an experiment that the address names, else with what is usual."""
    source = links.experiment_id(st.query_params, "from") if arrived else None
    record = store.record(source) if source else None
    if record is not None:
        spec = record["experiment"]["spec"]
        draft.begin(workloads, models, spec | {"title": f"{spec['title']} again"[:200]}, overwrite=True)
    draft.begin(workloads, models, _preset(preset_names()[0]))


def _preset(name: str) -> dict[str, Any]:
    return dict(next(p["spec"] for p in api.presets() if p["name"] == name))


def _start_from() -> None:
    def load() -> None:
        workloads, models = store.catalogue()["workloads"], [m["name"] for m in api.models()]
        chosen = st.session_state["new_preset"]
        if chosen is not None:
            draft.begin(workloads, models, None if chosen == "empty" else _preset(chosen), overwrite=True)

    st.pills("Start from", [*preset_names(), "empty"], key="new_preset", on_change=load)


def _run(workloads: list[dict[str, Any]], devices: list[Device], key: str) -> None:
    spec: ExperimentSpec | None = None
    try:
        spec = draft.spec(workloads)
        api.check(spec, devices)
    except ValueError as error:
        st.error(words.escape(str(error)))
        st.button("Run", type="primary", icon=":material/play_arrow:", key="new_run", **permissions.control(disabled=True))
        return
    for text in guard.warnings(spec, devices):
        st.warning(words.escape(text), icon=":material/memory:")
    plan = draft.plan(spec, store.past_seconds(draft.model_name(), spec.device))
    took = "no estimate yet: nothing like it was measured before" if plan.seconds is None else f"about {words.seconds_text(plan.seconds)}"
    once = " and ".join(f"{plan.runs[kind]} for {kind}" for kind in plan.runs if kind != "speed")
    rounds = f"{plan.variants} variants x {plan.rounds} rounds for speed and memory"
    at_most = "At most " if spec.stop_early else ""
    st.markdown(f"{at_most}**{sum(plan.runs.values())} runs**: {rounds}{', and ' if once else ''}{once}; {took}.")
    if st.button("Run", type="primary", icon=":material/play_arrow:", key="new_run", **permissions.control()):
        try:
            experiment_id = api.submit(permissions.database(), spec, request_key=key, devices=devices)
        except ValueError as error:
            st.error(words.escape(str(error)))
            return
        pages.go("experiment", {"id": experiment_id})


if __name__ == "__main__":
    main()
